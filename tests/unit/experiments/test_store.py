"""Parts on disk: rounded as said, whole or not there, from a folder or a zip."""

from __future__ import annotations

import numpy as np
import pytest

import worldline as wl
from worldline.experiments.faithfulness.part_files import Store, round_mantissa


def test_numbers_keep_three_figures():
    draw = np.random.default_rng(0)
    values = (draw.normal(size=5000) * 10.0 ** draw.integers(-8, 8, 5000)).astype(np.float32)
    kept = round_mantissa(values)
    assert (np.abs(kept - values) <= np.abs(values) * 2.0**-11).all()
    assert (np.sign(kept) == np.sign(values)).all()
    assert round_mantissa(np.zeros(3)).tolist() == [0.0, 0.0, 0.0]
    assert (kept.view(np.uint32) % 8192 == 0).all()


def test_parts_come_back_and_pack(tmp_path):
    store = Store(tmp_path / "raw")
    store.write("a.zero", {"n": 1, "word": "né"}, edges=np.array([[1, 2]]), w=np.array([0.5]))
    store.write("b.zero", {"n": 2}, w=np.array([[1.0, -3.0]]))
    (tmp_path / "raw" / "c.part").write_bytes(b"half")
    assert store.names() == {"a.zero", "b.zero"}
    store.pack(tmp_path / "all.zip")
    for one in (store, Store(tmp_path / "all.zip")):
        said, arrays = one.read("a.zero")
        assert said == {"n": 1, "word": "né"}
        assert arrays["edges"].tolist() == [[1, 2]]
        assert arrays["w"].tolist() == [0.5]
        assert one.names() == {"a.zero", "b.zero"}
    with pytest.raises(wl.InputError, match="a zip is only read"):
        Store(tmp_path / "all.zip").write("d", {})


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(wl.InputError, match="there is no such file"):
        Store(tmp_path / "none.zip")
    store = Store(tmp_path)
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    with pytest.raises(wl.InputError, match="part bad is damaged"):
        store.read("bad")
    with pytest.raises(wl.InputError, match="part gone is damaged"):
        store.read("gone")
    (tmp_path / "file").write_text("")
    with pytest.raises(wl.InputError, match="--raw"):
        Store(tmp_path / "file")
