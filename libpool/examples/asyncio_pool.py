#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""libpool from another language, with no thread and no callback: ctypes, and asyncio's own loop.

What a binding needs is there in C already: the pool's descriptor is watched by the loop, structs are as
long as their `size` says (so only the first fields are declared here), and a task is the address of a C
function: libpool_reply itself is one that echoes its input, abort and pause of libc are two that don't end
well. `asyncio_pool.py [PATH OF libpool.so]`; ends with 0 when all is as it should be.
"""
import asyncio
import ctypes
import sys

CAUSES = {1: "completed", 3: "crash", 6: "timeout"}
NO_THREAD = 1


class Options(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("flags", ctypes.c_uint32),
                ("min_workers", ctypes.c_uint32), ("max_workers", ctypes.c_uint32)]


class Task(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("function", ctypes.c_void_p), ("input", ctypes.c_char_p),
                ("input_size", ctypes.c_size_t), ("priority", ctypes.c_uint32),
                ("run_timeout_ms", ctypes.c_uint32)]


class Result(ctypes.Structure):
    _fields_ = [("cause", ctypes.c_int), ("certainty", ctypes.c_int), ("code", ctypes.c_int),
                ("signal", ctypes.c_int), ("core_dumped", ctypes.c_int), ("slot", ctypes.c_uint32),
                ("pid", ctypes.c_int), ("task_id", ctypes.c_uint64), ("pending_ns", ctypes.c_uint64),
                ("running_ns", ctypes.c_uint64), ("data", ctypes.c_void_p), ("data_size", ctypes.c_size_t),
                ("text", ctypes.c_char * 160)]


class Pool:
    """Futures are asyncio's; (cause, signal, bytes, text) is what they come to."""

    def __init__(self, library, max_workers):
        self.c = library
        library.libpool_future_result.restype = ctypes.POINTER(Result)
        self.pool = ctypes.c_void_p()
        self.waiting = []
        options = Options(ctypes.sizeof(Options), NO_THREAD, 0, max_workers)
        self.check(library.libpool_open(ctypes.byref(self.pool), ctypes.byref(options)))
        self.loop = asyncio.get_running_loop()
        self.loop.add_reader(library.libpool_fd(self.pool), self.dispatch)

    @staticmethod
    def check(code):
        if code < 0:
            raise OSError(-code, "libpool")

    def submit(self, function, data=b"", run_timeout_ms=0):
        task = Task(ctypes.sizeof(Task), ctypes.cast(function, ctypes.c_void_p), data, len(data), 0,
                    run_timeout_ms)
        ours, theirs = ctypes.c_void_p(), self.loop.create_future()
        self.check(self.c.libpool_submit(self.pool, ctypes.byref(task), 0, ctypes.byref(ours)))
        self.waiting.append((ours, theirs))
        return theirs

    def dispatch(self):
        self.check(self.c.libpool_dispatch(self.pool))
        waiting, self.waiting = self.waiting, []
        for ours, theirs in waiting:
            result = self.c.libpool_future_result(ours)
            if not result:
                self.waiting.append((ours, theirs))
                continue
            end = result.contents
            data = ctypes.string_at(end.data, end.data_size) if end.data_size else b""
            theirs.set_result((CAUSES.get(end.cause), end.signal, data, end.text.decode()))
            self.c.libpool_future_free(ours)

    def close(self):
        self.loop.remove_reader(self.c.libpool_fd(self.pool))
        self.c.libpool_close(self.pool)


async def main(path):
    library, libc = ctypes.CDLL(path), ctypes.CDLL(None)
    pool = Pool(library, 2)
    ends = await asyncio.wait_for(asyncio.gather(
        *[pool.submit(library.libpool_reply, b"number %d" % i) for i in range(50)],
        pool.submit(libc.abort), pool.submit(libc.pause, run_timeout_ms=100)), 20)
    pool.close()
    for end in ends[-2:]:
        print(end[0] + ": " + end[3])
    echoed = all(end[:3] == ("completed", 0, b"number %d" % i) for i, end in enumerate(ends[:50]))
    return echoed and ends[50][:2] == ("crash", 6) and ends[51][0] == "timeout"


sys.exit(0 if asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "libpool.so.0")) else 1)
