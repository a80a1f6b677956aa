"""float32 matrices go to oneDNN where that is quicker, and only while no digit is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from training.engine import products

pytestmark = pytest.mark.engine


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """torch as it comes, on a processor with AVX-512, and again afterwards."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    matmul: Any = torch.backends.mkldnn.matmul
    before, matmul.fp32_precision = matmul.fp32_precision, "none"
    yield
    matmul.fp32_precision = before


def cpuinfo(folder: Path, vendor: str) -> Path:
    path = folder / "cpuinfo"
    path.write_text(f"processor\t: 0\nvendor_id\t: {vendor}\n")
    return path


@pytest.mark.parametrize(("vendor", "quick"), [("AuthenticAMD", True), ("GenuineIntel", False)])
def test_amds_float32_goes_to_onednn_with_all_its_digits(plain, tmp_path, vendor, quick) -> None:
    assert products.prefer_quick(cpuinfo(tmp_path, vendor)) is quick is products.are_quick()
    one, two = torch.randn(200, 700), torch.randn(700, 90)
    right = one.double() @ two.double()
    assert (one @ two - right).norm() < products.DIGITS * right.norm()


def test_a_processor_that_would_round_keeps_mkl(plain, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(products, "_exact", lambda: False)
    assert not products.prefer_quick(cpuinfo(tmp_path, "AuthenticAMD"))
    assert torch.backends.mkldnn.matmul.fp32_precision != "bf16"


def test_rounded_products_are_seen(monkeypatch) -> None:
    assert products._exact()
    monkeypatch.setattr(torch.Tensor, "double", lambda tensor: tensor.bfloat16().to(torch.float64))
    assert not products._exact()


def test_the_machines_own_files_may_be_missing(plain, tmp_path) -> None:
    assert not products.prefer_quick(tmp_path / "nothing")
