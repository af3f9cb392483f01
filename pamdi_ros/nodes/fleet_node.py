# SPDX-License-Identifier: Apache-2.0
"""What both nodes share: parameters, a guarded life cycle, start-up and shutdown."""

from __future__ import annotations

from collections.abc import Callable
import faulthandler
import logging
import os
import signal
import sys
import traceback
from typing import NoReturn

from pamdi_ros.fleet import Fleet, fleet_prefix, FleetError, load_fleet
from pamdi_ros.nodes.sparing_log import RecordThrottle
from pamdi_ros.nodes.steady import STEADY
from pamdi_ros.parent_death_signal import ask_for_signal_at_parents_death, PARENT_VARIABLE
from pamdi_ros.shared_memory import remove_stale_segments
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
import rclpy
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.timer import Timer

#: Exit code of a process that its node has ended.
FAILED_CODE = 70
#: Longest time that closing may take [s].
LEAVE_PATIENCE_S = 5.0


class CannotConfigure(Exception):  # noqa: N818 - it says what cannot be done
    """The node cannot do its job as configured; the text says what is wrong and what to do."""


class FleetNode(LifecycleNode):
    """A lifecycle node of one fleet.

    A subclass gives :meth:`set_up`, :meth:`start`, :meth:`stop` and :meth:`tear_down`; whatever
    they raise becomes a log line and a failed transition, never a dead process.

    :param name: node name, unless remapped.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.parameter('fleet_file', '', 'fleet.yaml that describes the fleet; required')
        self.parameter(
            'fleet_namespace', '', "absolute namespace of the fleet's topics; empty: /<fleet>"
        )
        self.parameter('bundle', '', "directory of built models; empty: the fleet file's")
        self.parameter('autostart', True, 'configure and activate without being asked')
        self._fleet: Fleet | None = None
        self.prefix = ''
        #: Exit code of the process where the node itself ends it; 0: it does not.
        self.code = 0

    @property
    def fleet(self) -> Fleet:
        """Return the fleet of a node that is configured."""
        assert self._fleet is not None, 'the node is not configured'
        return self._fleet

    def end(self, why: str) -> None:
        """End the process as one that failed, so that whoever looks after it starts it again.

        May be called from any thread.

        :param why: what is wrong.
        """
        self.get_logger().fatal(why)
        self.code = FAILED_CODE
        self.context.try_shutdown()

    def destroy_node(self) -> None:
        """Destroy the node and, with it, its DDS participant.

        rclpy's state machine keeps the node alive otherwise, and Fast DDS leaves the participant's
        shared memory (35 MB) behind at every exit.
        """
        super().destroy_node()
        self._state_machine.destroy_when_not_in_use()

    def parameter(
        self,
        name: str,
        default: object,
        description: str,
        bounds: tuple[float, float] | None = None,
    ) -> None:
        """Declare a parameter that is read when the node is configured.

        :param bounds: least and greatest value; rclpy refuses any other.
        """
        descriptor = ParameterDescriptor(description=f'{description} (read at configure)')
        if bounds is not None and isinstance(default, int):
            least, most = map(int, bounds)
            descriptor.integer_range = [IntegerRange(from_value=least, to_value=most)]
        elif bounds is not None:
            low, high = bounds
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        self.declare_parameter(name, default, descriptor)

    def every(self, period_s: float, action: Callable[[], None]) -> Timer:
        """Do something periodically, whether simulated time goes on or not.

        :param period_s: between two calls [s].
        :returns: for :meth:`destroy_timer`.
        """
        return self.create_timer(period_s, action, clock=STEADY)

    def topic(self, name: str) -> str:
        """Absolute name of a fleet topic."""
        return f'{self.prefix}/{name}'

    # --- what a subclass does -------------------------------------------------------------------

    def set_up(self, fleet: Fleet) -> None:
        """Create what does not yet act.

        :raises CannotConfigure: with what is wrong and what to do.
        """
        raise NotImplementedError

    def start(self) -> None:
        """Begin to act."""
        raise NotImplementedError

    def stop(self) -> None:
        """Cease to act."""
        raise NotImplementedError

    def tear_down(self) -> None:
        """Let go of what set_up created; must bear being called twice."""
        raise NotImplementedError

    # --- life cycle -----------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the fleet and set up."""
        return self._guarded('configure', self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to act."""
        done = self._guarded('activate', self.start)
        return super().on_activate(state) if done is TransitionCallbackReturn.SUCCESS else done

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Cease to act."""
        self._guarded('deactivate', self.stop)
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of everything."""
        return self._guarded('clean up', self.tear_down)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and let go of everything, whatever the state."""
        self._guarded('stop', self.stop)
        return self._guarded('shut down', self.tear_down)

    def _configure(self) -> None:
        path = self.get_parameter('fleet_file').value
        if not path:
            raise CannotConfigure('parameter fleet_file is empty; give the path of a fleet.yaml')
        self.get_logger().info(f'configuring from {path}')
        try:
            fleet = load_fleet(path)
        except FleetError as error:
            raise CannotConfigure(str(error)) from error
        bundle = self.get_parameter('bundle').value
        self._fleet = fleet.with_bundle(bundle) if bundle else fleet
        self.prefix = self.get_parameter('fleet_namespace').value.rstrip('/')
        self.prefix = self.prefix or fleet_prefix(self.fleet)
        self.set_up(self.fleet)
        self.get_logger().info(f'configured for fleet {self.fleet.name} at {self.prefix}')

    def _guarded(self, what: str, action: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            action()
        except CannotConfigure as error:
            self.get_logger().error(f'cannot {what}: {error}')
        except Exception as error:  # an exception here would kill the node in older releases
            self.get_logger().error(f'cannot {what}: {type(error).__name__}: {error}')
            self.get_logger().debug(traceback.format_exc())
        else:
            return TransitionCallbackReturn.SUCCESS
        if what == 'configure':
            self._guarded('clean up', self.tear_down)
        return TransitionCallbackReturn.FAILURE


def die_with_parent() -> None:
    """Tie this process to the `pamdi up` that started it, if one did."""
    parent = os.environ.get(PARENT_VARIABLE)
    if parent and not ask_for_signal_at_parents_death(int(parent)):
        raise SystemExit(0)


def run(make_node: Callable[[], FleetNode], args: list[str] | None = None) -> NoReturn:
    """Spin a node until it is told to stop.

    :param make_node: makes the node, after rclpy.init.
    :param args: command line; None: this process's.
    :returns: never; the process ends, with exit code 0 where it was told to.
    """
    code = 0
    faulthandler.register(signal.SIGUSR1, all_threads=True)  # kill -USR1: where does it hang?
    die_with_parent()
    if logging.lastResort is not None:  # what our threads log, which no ROS logger has
        logging.lastResort.addFilter(RecordThrottle())
    remove_stale_segments()  # a node that is killed and started again leaves 35 MB each time
    rclpy.init(args=args)
    # One thread: MultiThreadedExecutor cost 46-51 ms a round trip here, EventsExecutor delivered
    # nothing (Jazzy wheels, measured).
    executor = SingleThreadedExecutor()
    node = None
    try:
        node = make_node()
        executor.add_node(node)
        if not node.get_parameter('autostart').value or _autostart(node):
            _spin(executor, node)
            code = node.code
        else:
            code = 1
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (InvalidParameterValueException, InvalidParameterTypeException) as error:
        print(f'cannot start: {error}', file=sys.stderr)
        code = 2
    except BaseException:
        if rclpy.ok():  # otherwise it was told to end while it started
            traceback.print_exc()
            code = 1
    finally:
        _leave(executor, node, code)


def _leave(executor: SingleThreadedExecutor, node: FleetNode | None, code: int) -> NoReturn:
    """Close everything and end the process, whatever comes between."""
    for number in (signal.SIGINT, signal.SIGTERM):  # asked once is enough
        signal.signal(number, signal.SIG_IGN)
    # Should closing hang, the stacks are printed and the process ends, without the GIL if need be.
    faulthandler.dump_traceback_later(LEAVE_PATIENCE_S, exit=True)
    try:
        if node is not None:
            node._guarded('stop', node.stop)
            node._guarded('shut down', node.tear_down)
            executor.shutdown(timeout_sec=0)
            node.destroy_node()
        rclpy.try_shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
    except Exception:
        traceback.print_exc()
    finally:
        _end_own_group()
        os._exit(code)  # all is closed; unloading torch's libraries would take seconds more


def _autostart(node: FleetNode) -> bool:
    """Configure and activate.

    :returns: False where that failed and nobody but `pamdi up` could try again.
    """
    if node.trigger_configure() is TransitionCallbackReturn.SUCCESS:
        node.trigger_activate()
        return True
    if not node.context.ok():
        return True  # told to end meanwhile
    return PARENT_VARIABLE not in os.environ


def _spin(executor: SingleThreadedExecutor, node: FleetNode) -> None:
    """Serve callbacks; one that fails is logged and costs its own message, not the node."""
    while node.context.ok():
        try:
            executor.spin()
        except (KeyboardInterrupt, ExternalShutdownException):
            return
        except Exception:
            if node.context.ok():
                node.get_logger().error(
                    f'a callback failed: {traceback.format_exc()}',
                    throttle_duration_sec=1.0,
                    throttle_time_source_type=STEADY,
                )


def _end_own_group() -> None:
    """End what this process has started, such as the builder of a model's weights."""
    # `pamdi up` gives every node a group of its own; a shell's pipeline is not ours to end.
    if PARENT_VARIABLE in os.environ and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGTERM)
