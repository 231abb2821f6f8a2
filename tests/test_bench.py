"""The benchmarks cover all operations, and the report says what was measured."""

import json
from pathlib import Path

import pytest

from bench import report
from bench.cases import CASES
from bench.targets import TARGETS
from cnnengine import _native as native


def test_every_operation_is_measured():
    assert set(CASES) == set(native.OPS)


@pytest.mark.parametrize("op", native.OPS)
def test_cases_name_the_fields_and_all_buffers(op):
    info = native.OPS[op]
    for case in CASES[op]:
        assert set(case.fields) == {name for name, _ in info.fields}, case.name
        assert len(case.inputs) == len(info.inputs) and len(case.outputs) == len(info.outputs), case.name


def test_every_target_has_cases():
    assert {case.target for cases in CASES.values() for case in cases} - {None} == set(TARGETS)


def test_no_two_cases_have_one_name():
    names = [(op, case.name) for op, cases in CASES.items() for case in cases]
    assert len(names) == len(set(names))


def _entry(op, shape, implementation, seconds, roof="peak", **more):
    roofs = {"fma_peak": 200.4, "copy_bandwidth": 24.68, "l2_bandwidth": 90.0}
    info = {"op": op, "shape": shape, "implementation": implementation, "roof": roof, **roofs, **more}
    return {"group": f"{op} {shape}", "stats": {"min": seconds}, "extra_info": info}


@pytest.fixture
def results(tmp_path):
    machine = {"isa": "avx2", "threads": 2, "numpy": "2.0.0", "fma_peak": 200.4}
    machine |= {"copy_bandwidth": 30.2, "l2_bandwidth": 90.0}
    gemm, kin = TARGETS["gemm"].labels(), TARGETS["kin"].labels()
    entries = [
        _entry("matmul_fwd", "2x3 @ 3x4", "native", 0.002, gflops=192.0, target=gemm),
        _entry("matmul_fwd", "2x3 @ 3x4", "reference", 0.005, gflops=60.0),
        _entry("matmul_fwd", "2x3 @ 3x5", "native", 0.002, gflops=150.0, target=gemm),
        _entry("matmul_fwd", "2x3 @ 3x5", "reference", 0.001, gflops=300.0),
        _entry("conv2d_fwd", "plain", "native", 0.1, gflops=100.0),
        _entry("conv2d_fwd", "1-D", "native", 0.1, "plain", gflops=95.0, beside="conv2d_fwd plain", target=kin),
        _entry("fill", "5", "native", 4e-6, "copy", gbytes=12.34),
        _entry("fill", "5", "torch", 8e-6, "copy", gbytes=6.17),
        _entry("predict", "MLP: batch 1", "native", 0.25, gflops=1.0),
        _entry("select", "7", "reference", 0.25, "copy", gbytes=1.0),
    ]
    path = tmp_path / "results.json"
    run = {"machine_info": {"cpu": {"brand_raw": "Some CPU"}, "cnnengine": machine}, "benchmarks": entries}
    path.write_text(json.dumps(run))
    return str(path)


def test_report_prints_one_row_a_case(results, capsys):
    report.main([results])
    text = capsys.readouterr().out
    assert text.startswith("Some CPU, 2 thread(s), avx2, NumPy 2.0.0.") and "200 GFLOP/s" in text and "30 GB/s" in text
    assert "| `matmul_fwd` | 2x3 @ 3x4 | 2 | 192 |  | 96 | ≥ 95 % of peak, > NumPy | yes | 2.5× |  |" in text
    assert "| `matmul_fwd` | 2x3 @ 3x5 | 2 | 150 |  | 75 | ≥ 95 % of peak, > NumPy | no | 0.5× |  |" in text
    assert "| `fill` | 5 | 0.0040 |  | 12.3 | 50 |  |  |  | 2× |" in text
    assert "| predict | MLP: batch 1 | 250 | 1 |  | 0 |  |  |  |  |" in text
    assert "select" not in text  # never measured in C


def test_report_prints_the_sections_asked_for(results, capsys):
    report.main([results, "--only", "moves"])
    text = capsys.readouterr().out
    assert "fill" in text and "matmul_fwd" not in text and "predict" not in text


def test_report_prints_targets(results, capsys):
    report.main([results, "--only", "targets"])
    text = capsys.readouterr().out
    assert "| 75 % | 85 % | 1 of 2 |" in text
    assert f"- {TARGETS['gemm'].title}: `matmul_fwd` 2x3 @ 3x5 (75 %, NumPy 0.5×)" in text
    assert "| ≥ 90 % of plain | 95 % | 95 % | 1 of 1 |" in text


def _changed(results, name, change):
    run = json.loads(Path(results).read_text())
    change(run)
    path = Path(results).with_name(name)
    path.write_text(json.dumps(run))
    return str(path)


def test_report_takes_the_best_of_several_runs(results, capsys):
    def another(run):
        run["machine_info"]["cnnengine"]["fma_peak"] = 400.0
        run["benchmarks"][0]["stats"]["min"] = 0.001
        run["benchmarks"][0]["extra_info"] |= {"gflops": 384.0, "fma_peak": 400.0}
        run["benchmarks"][1]["stats"]["min"] = 1.0

    report.main([results, _changed(results, "again.json", another), "--only", "products"])
    text = capsys.readouterr().out
    assert "400 GFLOP/s" in text
    assert "| `matmul_fwd` | 2x3 @ 3x4 | 1 | 384 |  | 96 | ≥ 95 % of peak, > NumPy | yes | 5× |  |" in text
    assert "| `matmul_fwd` | 2x3 @ 3x5 | 2 | 150 |  | 75 |" in text  # of the roof that was measured beside it


def test_report_refuses_runs_that_do_not_compare(results):
    def another(run):
        run["machine_info"]["cnnengine"]["threads"] = 1

    with pytest.raises(SystemExit, match="different machines"):
        report.main([results, _changed(results, "one_thread.json", another)])


def test_report_refuses_an_unknown_section(results, capsys):
    with pytest.raises(SystemExit):
        report.main([results, "--only", "speed"])
    assert "invalid choice: 'speed'" in capsys.readouterr().err
