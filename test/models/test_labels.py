# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.tasks.labels import read_labels
import pytest

TWO = (((1, 2), 'float32'),)


def test_built_in_names_where_they_fit() -> None:
    assert read_labels(None, ('a', 'b'), TWO) == ('a', 'b')
    assert read_labels('builtin', ('a', 'b'), TWO) == ('a', 'b')
    assert read_labels(None, ('a', 'b', 'c'), TWO) == ()
    with pytest.raises(ModelError, match='3 built-in names for 2'):
        read_labels('builtin', ('a', 'b', 'c'), TWO)


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / 'names.txt'
    path.write_text('cat \ndog\n\n')

    assert read_labels(str(path), (), TWO) == ('cat', 'dog')
    path.write_text('cat\n')
    with pytest.raises(ModelError, match='1 lines for 2'):
        read_labels(str(path), (), TWO)
    with pytest.raises(ModelError, match='cannot be read'):
        read_labels(str(tmp_path / 'gone'), (), TWO)
