"""A stand-in for NVIDIA's driver: one GPU, which makes contexts and writes down that it did.

It has no video engine: FFmpeg makes its context on the GPU and then decodes by software.
"""

import re
import shutil
import subprocess
from pathlib import Path

import av

COMPILER = shutil.which("cc")
CALLS_VARIABLE = "STAND_IN_CALLS"

# What tells FFmpeg something; all else only succeeds.
_WITH_A_MEANING = {
    "cuDeviceGetCount": "int *count) { *count = 1;",
    "cuDeviceGet": "int *device, int number) { *device = number;",
    "cuDevicePrimaryCtxGetState": (
        "int device, unsigned *flags, int *active) { *flags = chosen; *active = held > 0;"
    ),
    "cuDevicePrimaryCtxSetFlags_v2": "int device, unsigned flags) { chosen = flags;",
    "cuDevicePrimaryCtxSetFlags": "int device, unsigned flags) { chosen = flags;",
    "cuDevicePrimaryCtxRetain": (
        'void **context, int device) { say("retain"); ++held; *context = &held;'
    ),
    "cuDevicePrimaryCtxRelease": 'int device) { say("release"); --held;',
    "cuDevicePrimaryCtxRelease_v2": 'int device) { say("release"); --held;',
    "cuCtxCreate_v2": 'void **context, unsigned flags) { say("create"); *context = &held;',
    "cuCtxDestroy_v2": 'void *context) { say("destroy");',
}
_BEGIN = f"""
#include <stdio.h>
#include <stdlib.h>
static int held;
static unsigned chosen;
static void say(const char *what) {{
    FILE *calls = fopen(getenv("{CALLS_VARIABLE}"), "a");
    fprintf(calls, "%s\\n", what);
    fclose(calls);
}}
"""


def make_driver(folder: Path) -> None:
    """Compile `libcuda.so.1`, with all that FFmpeg looks for in it.

    A process finds it with `folder` in its LD_LIBRARY_PATH, and appends to the file that
    `CALLS_VARIABLE` names: create, destroy, retain, release.
    """
    (library,) = (Path(av.__file__).parents[1] / "av.libs").glob("libavutil-*")
    found = re.findall(rb"\0(cu[A-Z]\w+)(?=\0)", library.read_bytes())
    names = {name.decode() for name in found} | _WITH_A_MEANING.keys()
    functions = (
        f"int {name}({_WITH_A_MEANING.get(name, 'void) {')} return 0; }}" for name in sorted(names)
    )
    assert COMPILER is not None
    target = str(folder / "libcuda.so.1")
    command = [COMPILER, "-shared", "-fPIC", "-w", "-o", target, "-x", "c", "-"]
    subprocess.run(command, input=_BEGIN + "\n".join(functions), text=True, check=True)
