"""The least that taking bytes can cost: `recv_into` 1 MiB and `pwrite`, one connection, no HTTP."""

import multiprocessing
import os
import socket
from multiprocessing.connection import Connection
from pathlib import Path

from bench.body import MIB, blocks
from bench.meter import Meter
from bench.pages import touch
from bench.wire import TIMEOUT_SECONDS

_LENGTH_BYTES = 8
_FILE_NAME = "floor"


def floor_cpu_seconds(directory: Path, lengths: list[int]) -> float:
    """CPU seconds that a bare receiver spends on writing these lengths to files in `directory`."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    receiver = context.Process(target=_receive_all, args=(theirs, directory), daemon=True)
    receiver.start()
    try:
        return _drive(ours.recv(), receiver.pid or 0, directory, lengths)
    finally:
        receiver.join(TIMEOUT_SECONDS)


def _drive(port: int, pid: int, directory: Path, lengths: list[int]) -> float:
    cpu = 0.0
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as sender:
        _send(sender, MIB)
        (directory / _FILE_NAME).unlink()
        for length in lengths:
            touch(directory, length)
            meter = Meter([pid])
            _send(sender, length)
            cpu += meter.stop().cpu
            # Here, not in the receiver: freeing a file's pages costs it time that no server pays.
            (directory / _FILE_NAME).unlink()
    return cpu


def _send(sender: socket.socket, length: int) -> None:
    sender.sendall(length.to_bytes(_LENGTH_BYTES))
    for block in blocks(length):
        sender.sendall(block)
    if sender.recv(1) != b"k":
        raise RuntimeError("The floor's receiver ended before it had written everything.")


def _receive_all(parent: Connection, directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        parent.send(listener.getsockname()[1])
        connection, _ = listener.accept()
    buffer = memoryview(bytearray(MIB))
    with connection:
        while length := connection.recv(_LENGTH_BYTES, socket.MSG_WAITALL):
            _receive(connection, directory / _FILE_NAME, int.from_bytes(length), buffer)
            connection.sendall(b"k")


def _receive(connection: socket.socket, path: Path, length: int, buffer: memoryview) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        offset = 0
        while offset < length:
            count = connection.recv_into(buffer)
            os.pwrite(file, buffer[:count], offset)
            offset += count
    finally:
        os.close(file)
