"""nginx and Caddy in front of a server, with the files of `deploy/` as they are.

Only what a machine decides is another one: names, ports, certificates and folders.
"""

import datetime
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.live import ROOT, Live, make_token
from tests.services import START_SECONDS, ServiceMissing, free_port, wait_until

NGINX_FILE = ROOT / "deploy/nginx.conf"
CADDY_FILE = ROOT / "deploy/Caddyfile"
STOP_SECONDS = 20.0

_NGINX_MAIN = """
daemon off;
master_process on;
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""
_CADDY_MAIN = """{{
	admin off
	auto_https off
	storage file_system {folder}
}}

"""


@dataclass(frozen=True)
class Front:
    """What clients talk to: the server itself, or a proxy in front of it."""

    name: str
    server: Live
    port: int
    tls_port: int = 0
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def tls_url(self) -> str:
        """The same with TLS, where browsers speak HTTP/2; its certificate is made by ourselves."""
        return f"https://{self.host}:{self.tls_port}"

    @property
    def proxied(self) -> bool:
        return self.name != "direct"

    def token(self, user: str = "alice") -> str:
        return make_token(user)


def direct(server: Live) -> Front:
    """No proxy at all."""
    return Front("direct", server, server.port)


@contextmanager
def nginx(server: Live, folder: Path) -> Iterator[Front]:
    """nginx, of which everything lies in `folder`."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise ServiceMissing("nginx is not installed; Debian's package is nginx.")
    port, tls_port = free_port(), free_port()
    certificate, key = _certificate(folder)
    changed = {
        "server 127.0.0.1:1080;": f"server {server.host}:{server.port};",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{port}; listen 127.0.0.1:{tls_port} ssl http2;",
        "/etc/ssl/media.example.org.pem": str(certificate),
        "/etc/ssl/media.example.org.key": str(key),
    }
    (folder / "site.conf").write_text(_replaced(NGINX_FILE, changed))
    (folder / "nginx.conf").write_text(_NGINX_MAIN.format(folder=folder))
    if os.geteuid() == 0:
        # Its workers are another user's then, and write what does not fit into memory.
        (folder / "nginx.conf").write_text(f"user root;{(folder / 'nginx.conf').read_text()}")
    command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with _running([*command, "-e", str(folder / "error.log")], folder, (port, tls_port)):
        yield Front("nginx", server, port, tls_port)


@contextmanager
def caddy(server: Live, folder: Path) -> Iterator[Front]:
    """Caddy, of which everything lies in `folder`."""
    program = shutil.which("caddy")
    if program is None:
        raise ServiceMissing("caddy is not installed; Debian's package is caddy.")
    port, tls_port = free_port(), free_port()
    certificate, key = _certificate(folder)
    heads = (
        f"http://127.0.0.1:{port} {{",
        f"https://127.0.0.1:{tls_port} {{\n\ttls {certificate} {key}",
    )
    upstream = f"{server.host}:{server.port}"
    sites = [
        _replaced(CADDY_FILE, {"media.example.org {": head, "127.0.0.1:1080": upstream})
        for head in heads
    ]
    (folder / "Caddyfile").write_text("\n".join([_CADDY_MAIN.format(folder=folder), *sites]))
    command = [program, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    homes = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with _running(command, folder, (port, tls_port), homes):
        yield Front("caddy", server, port, tls_port)


def _replaced(file: Path, changed: Mapping[str, str]) -> str:
    text = file.read_text()
    for old, new in changed.items():
        assert text.count(old) == 1, f"{file.name} has {old!r} {text.count(old)} times."
        text = text.replace(old, new)
    return text


@contextmanager
def _running(
    command: list[str], folder: Path, ports: tuple[int, ...], environ: Mapping[str, str] = {}
) -> Iterator[None]:
    log = folder / "output.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(
            lambda: process.poll() is not None or all(map(_accepts, ports)),
            f"The start of {command[0]}",
        )
        assert process.poll() is None, log.read_text(errors="replace")
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(START_SECONDS)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody trusts, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA256())
    paths = (folder / "tls.pem", folder / "tls.key")
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = (
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    paths[1].write_bytes(key.private_bytes(*private))
    return paths
