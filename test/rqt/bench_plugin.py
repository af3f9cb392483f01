# SPDX-License-Identifier: Apache-2.0
"""Measure the plugin's share of a core: a synthetic fleet of 50 workers at 10 Hz, on real DDS.

python test/rqt/bench_plugin.py [WORKERS] [HZ] [SECONDS]

One process publishes heartbeats, statistics, results and diagnostics; another, this one, has the
feed and the widget without a screen, of the usual size. Its processor time counts, all threads,
DDS's too, from five seconds after the widget has seen all workers on.
"""

from __future__ import annotations

import os
from pathlib import Path
import subprocess
import sys
import time
from typing import Any

os.environ.setdefault('QT_QPA_PLATFORM', 'offscreen')
os.environ.setdefault('ROS_DOMAIN_ID', '65')
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

PREFIX = '/synthetic'
SETTLE_S = 5.0


def publish(count: int, rate_hz: float) -> None:
    """Publish a synthetic fleet until killed."""
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
    import pamdi_ros.msg as messages
    from pamdi_ros.nodes import qos
    import rclpy
    from rqt.synthetic_fleet import SyntheticFleet

    rclpy.init()
    node = rclpy.create_node('synthetic')

    def make(kind: str, **fields: Any) -> Any:
        return getattr(messages, kind)(**fields)

    fleet = SyntheticFleet(count, make)
    status = {
        name: node.create_publisher(
            messages.WorkerStatus, f'{PREFIX}/workers/{name}/status', qos.status_offered(0.3)
        )
        for name in fleet.workers
    }
    stats = {
        name: node.create_publisher(
            messages.SourceStats, f'{PREFIX}/sources/{name}/stats', qos.STATISTICS
        )
        for name in fleet.sources
    }
    results = node.create_publisher(messages.InferenceResult, f'{PREFIX}/results', qos.RESULT)
    alerts = node.create_publisher(DiagnosticArray, '/diagnostics', qos.STATISTICS)
    latched = node.create_publisher(messages.Assignment, f'{PREFIX}/assignment', qos.ASSIGNMENT)
    latched.publish(fleet.assignment())
    began_s, number = time.monotonic(), 0
    while True:
        at_s = number / rate_hz
        for name, publisher in status.items():
            message = fleet.status(name, at_s)
            message.header.stamp = node.get_clock().now().to_msg()
            publisher.publish(message)
        for name in fleet.sources:
            results.publish(fleet.result(name))
        if number % round(rate_hz) == 0:
            for name, publisher in stats.items():
                publisher.publish(fleet.stats(name, at_s))
            statuses = [
                DiagnosticStatus(
                    name=f'{PREFIX}: {name}',
                    level=bytes([level]),
                    message=text,
                    hardware_id=hardware,
                )
                for name, level, text, hardware in fleet.alerts()
            ]
            for _ in fleet.workers:
                alerts.publish(DiagnosticArray(status=statuses))
        number += 1
        time.sleep(max(0.0, began_s + number / rate_hz - time.monotonic()))


def measure(count: int, rate_hz: float, seconds: float) -> None:
    """Start the fleet, watch it, and say what that took."""
    publisher = subprocess.Popen([sys.executable, __file__, 'publish', str(count), str(rate_hz)])
    try:
        watch(count, rate_hz, seconds)
    finally:
        publisher.kill()


def watch(count: int, rate_hz: float, seconds: float) -> None:
    """Show the fleet to nobody, and measure."""
    from pamdi_ros.nodes.monitor.fleet_feed import FleetFeed
    from pamdi_ros.rqt.binding import BINDING, QtCore, QtGui, QtWidgets
    from pamdi_ros.rqt.fleet_widget import FleetWidget

    application = QtWidgets.QApplication(['bench'])
    application.setStyle('Fusion')
    application.setFont(QtGui.QFont('DejaVu Sans', 10))
    feed = FleetFeed(PREFIX, changed=lambda: widget.changed.emit()).start()
    widget = FleetWidget(feed)
    widget.resize(1360, 820)
    widget.show()
    paints = []
    graph = widget.findChild(QtWidgets.QWidget, 'fleet_graph')
    paint = graph.paintEvent

    def counted(event: Any) -> None:
        paints.append(1)
        paint(event)

    graph.paintEvent = counted
    marks: list[tuple[float, float, int]] = []

    def mark() -> None:
        marks.append((time.monotonic(), time.process_time(), len(paints)))
        if len(marks) == 2:
            application.quit()

    def look() -> None:
        view = feed.snapshot()
        heard = [worker for worker in view.workers.values() if worker.heard_s is not None]
        if len(heard) == count:
            timer.stop()
            QtCore.QTimer.singleShot(round(1000 * SETTLE_S), mark)
            QtCore.QTimer.singleShot(round(1000 * (SETTLE_S + seconds)), mark)

    timer = QtCore.QTimer()
    timer.timeout.connect(look)
    timer.start(500)
    application.exec() if hasattr(application, 'exec') else application.exec_()
    (from_s, cpu_s, painted), (to_s, cpu_end_s, painted_end) = marks
    view, wall_s = feed.snapshot(), to_s - from_s
    oldest_s = max(view.now_s - worker.heard_s for worker in view.workers.values())
    feed.close()
    print(
        f'{count} workers at {rate_hz:g} Hz, {BINDING}: '
        f'{100 * (cpu_end_s - cpu_s) / wall_s:.1f} % of a core over {wall_s:.0f} s, '
        f'{(painted_end - painted) / wall_s:.1f} repaints/s, oldest heartbeat {oldest_s:.2f} s'
    )


if __name__ == '__main__':
    if sys.argv[1:2] == ['publish']:
        publish(int(sys.argv[2]), float(sys.argv[3]))
    else:
        words = sys.argv[1:] + ['50', '10', '30'][len(sys.argv) - 1 :]
        measure(int(words[0]), float(words[1]), float(words[2]))
