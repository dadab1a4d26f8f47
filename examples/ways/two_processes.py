"""Two processes that know nothing of each other but a pipe: the header goes along with the image."""

import subprocess
import sys
import time

import framescope

SIZE = 1024  # an image, here; the header in front of it is one line of text

pipeline = framescope.Pipeline("two processes", target_fps=100, budget_ms=50)


def camera() -> None:
    capture = pipeline.stage("capture")
    command = [sys.executable, __file__, "display"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as display:
        assert display.stdin is not None
        for number in range(60):
            frame = pipeline.begin(sequence=number)
            with frame.stage(capture):
                time.sleep(0.003)
            display.stdin.write(frame.carry() + b"\n" + bytes(SIZE))  # here the frame is gone
            display.stdin.flush()


def display() -> None:
    show = pipeline.stage("show")
    while header := sys.stdin.buffer.readline():
        frame = pipeline.resume(header.rstrip())  # one that is none begins a new frame, and is counted
        with frame.stage(show):
            sys.stdin.buffer.read(SIZE)
            time.sleep(0.002)
        frame.end()  # whoever ends it has it judged


camera() if sys.argv[1:] == [] else display()
pipeline.close()
