"""Images where there is no registry: the servers' by their true names from the programs at hand, and a base.

A stand-in holds the true program where the true image has it, with the same entry point and user, and nothing
else: no shell, no folders. What a compose file needs beyond that it must bring itself.
"""

from __future__ import annotations

import configparser
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pip
from engine import Engine
from programs import ROOT, find

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
TOOLS = ("sh", "install", "sleep")
"""What the Dockerfile and the health checks use of the base image's Debian."""
EXPECTED = (
    *(
        "libc.so.6",
        "libdl.so.2",
        "libm.so.6",
        "libpthread.so.0",
        "libresolv.so.2",
        "librt.so.1",
        "libutil.so.1",
    ),
    *("libgcc_s.so.1", "libstdc++.so.6", "libz.so.1"),
)
"""Libraries that wheels may expect of any Linux (PEP 599) and that Debian's Python images have."""


@dataclass(frozen=True, slots=True)
class Server:
    """A true image: the programs in it by their paths, its user, and the folders it has for data."""

    programs: Mapping[str, str]
    user: str
    folders: tuple[tuple[str, int], ...] = ()


BUILT: Mapping[str, str] = {"framescope": "app", "framescope-demo": "demo"}
"""The project's own images, and the stages of the Dockerfile they are."""
SERVERS: Mapping[str, Server] = {
    "otel/opentelemetry-collector-contrib": Server({"/otelcol-contrib": "otelcol"}, "10001:10001"),
    "prom/prometheus": Server(
        {"/bin/prometheus": "prometheus", "/bin/promtool": "promtool"}, "65534", (("/prometheus", 65534),)
    ),
    "grafana/tempo": Server({"/tempo": "tempo"}, "10001:10001"),
    "jaegertracing/jaeger": Server({"/cmd/jaeger/jaeger-linux": "jaeger"}, "10001"),
    "victoriametrics/victoria-metrics": Server({"/victoria-metrics-prod": "victoria-metrics"}, "0"),
}


def stand_in(engine: Engine, name: str) -> None:
    """The image ``name`` (with its tag) from a program of this machine."""
    server = SERVERS[name.partition(":")[0]]
    entry = next(iter(server.programs))
    with _importing(engine, name, f'ENTRYPOINT ["{entry}"]', f"USER {server.user}") as image:
        for path, program in server.programs.items():
            image.file(Path(find(program)), path)
        for path, owner in server.folders:
            image.folder(path, owner)


def python_base(engine: Engine, name: str) -> None:
    """An image like ``python:3.x-slim`` from the Python that runs this, and the few tools builds use."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    libraries = f"/usr/local/lib/python{version}"
    with _importing(engine, name, "ENV PATH=/usr/local/bin:/usr/bin:/bin", 'CMD ["python"]') as image:
        image.text("/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
        image.text("/etc/nsswitch.conf", "hosts: files dns\n")
        image.folder("/tmp", 0, mode=0o1777)
        image.file(CERTIFICATES, str(CERTIFICATES))
        interpreter = Path(sys.executable).resolve()
        image.file(interpreter, f"/usr/local/bin/python{version}")
        for link in ("python", "python3"):
            image.link(f"/usr/local/bin/{link}", f"python{version}")
        standard = {Path(sysconfig.get_path(kind)) for kind in ("stdlib", "platstdlib")}
        for folder in standard:
            image.tree(folder, libraries, without=("site-packages", "dist-packages", "test", "idlelib"))
        image.tree(Path(pip.__file__).parent, f"{libraries}/site-packages/pip")
        tools = [Path(found).resolve() for tool in TOOLS if (found := shutil.which(tool))]
        for tool, path in zip(TOOLS, tools, strict=True):
            image.file(path, f"/bin/{tool}")
        modules = [module for folder in standard for module in (folder / "lib-dynload").glob("*.so")]
        for path in _libraries([interpreter, *tools, *modules], EXPECTED):
            image.file(Path(path), path)


def project_image(engine: Engine, target: str, name: str, base: str, settings: Path) -> None:
    """One image of the project, by its own Dockerfile. ``settings`` are pip's, which stay out of it."""
    proxies = [word for key in os.environ if key.lower().endswith("_proxy") for word in ("--build-arg", key)]
    engine.run(
        *("build", "--network", "host", "--progress", "plain", "--file", "deploy/compose/Dockerfile"),
        *("--target", target, "--tag", name, "--build-arg", f"PYTHON_IMAGE={base}"),
        *("--secret", f"id=pip,src={settings}", *proxies, "."),
        cwd=ROOT,
    )


def pip_settings(path: Path) -> Path:
    """How pip reaches its index on this machine, as a configuration file for a build elsewhere."""
    said = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    )
    found = configparser.RawConfigParser()
    found.add_section("global")
    for line in said.stdout.splitlines():
        key, _, value = line.partition("=")
        option = key.rpartition(".")[2]
        if option in ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout"):
            found.set("global", option.removeprefix("default-"), value.strip("'\""))
    found.set("global", "cert", str(CERTIFICATES))
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        found.write(file)
    return path


def base_image() -> str:
    """The base image the Dockerfile names."""
    text = (ROOT / "deploy/compose/Dockerfile").read_text()
    named = re.search(r"^ARG PYTHON_IMAGE=(\S+)$", text, re.MULTILINE)
    assert named
    return named[1]


class _Image:
    """A root file system being written as a tar stream."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._written: set[str] = set()

    def file(self, source: Path, path: str, mode: int | None = None) -> None:
        if path not in self._written:
            self._written.add(path)
            info = self._tar.gettarinfo(str(source.resolve()), path.lstrip("/"))
            info.uid = info.gid = 0
            info.type, info.linkname = tarfile.REGTYPE, ""  # the second name of one file is a file too
            info.size = source.resolve().stat().st_size
            with source.open("rb") as content:
                self._tar.addfile(info, content)

    def text(self, path: str, content: str) -> None:
        info = tarfile.TarInfo(path.lstrip("/"))
        info.size = len(content)
        self._tar.addfile(info, io.BytesIO(content.encode()))

    def folder(self, path: str, owner: int, mode: int = 0o755) -> None:
        info = tarfile.TarInfo(path.lstrip("/"))
        info.type, info.mode, info.uid, info.gid = tarfile.DIRTYPE, mode, owner, owner
        self._tar.addfile(info)

    def link(self, path: str, target: str) -> None:
        info = tarfile.TarInfo(path.lstrip("/"))
        info.type, info.linkname = tarfile.SYMTYPE, target
        self._tar.addfile(info)

    def tree(self, folder: Path, path: str, without: Iterable[str] = ()) -> None:
        left_out = {*without, "__pycache__"}
        for directory, folders, files in os.walk(folder):
            folders[:] = [name for name in folders if name not in left_out and not name.startswith("config-")]
            below = Path(directory).relative_to(folder)
            for name in files:
                source = Path(directory, name)
                if source.is_file():
                    self.file(source, str(Path(path) / below / name))


class _importing:
    """``docker import`` of what is written inside the block."""

    def __init__(self, engine: Engine, name: str, *changes: str) -> None:
        self._engine = engine
        self._name = name
        self._changes = [word for change in changes for word in ("--change", change)]

    def __enter__(self) -> _Image:
        self._file = tempfile.NamedTemporaryFile(dir="/var/tmp", suffix=".tar")
        self._tar = tarfile.open(fileobj=self._file, mode="w")
        return _Image(self._tar)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._file:
            self._tar.close()
            if kind is None:
                self._file.flush()
                self._engine.run("import", *self._changes, self._file.name, self._name)


def _libraries(programs: Iterable[Path], by_name: Collection[str]) -> Iterator[str]:
    """Paths of the shared libraries that these programs need, and of those with these names."""
    cache = subprocess.run(["ldconfig", "-p"], check=True, capture_output=True, text=True).stdout
    known = (line.split() for line in cache.splitlines() if "x86-64" in line or "AArch64" in line)
    named = {words[0]: words[-1] for words in known if words[0] in by_name}
    command = ["ldd", *map(str, programs), *named.values()]
    listed = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    yield from sorted({*named.values(), *re.findall(r"(/\S+\.so\S*) \(0x", listed)})
