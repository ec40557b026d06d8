"""A peer made of python-can and scapy: it sends each message back, reversed.

peer.py COUNT TX RX BUS, with the arguments of can.Bus as JSON. It writes a line
when it is ready.
"""
import json
import sys

import can
from scapy.config import conf

conf.contribs["ISOTP"] = {"use-can-isotp-kernel-module": False}
conf.contribs["CANSocket"] = {"use-python-can": True}
from scapy.contrib.cansocket_python_can import PythonCANSocket  # noqa: E402
from scapy.contrib.isotp import ISOTP, ISOTPSoftSocket  # noqa: E402

count, tx, rx, bus = int(sys.argv[1]), int(sys.argv[2], 16), int(sys.argv[3], 16), json.loads(sys.argv[4])
with PythonCANSocket(**bus) as frames:
    # A block is shorter than what a UDP socket has room for, if there is no time to read.
    with ISOTPSoftSocket(frames, tx_id=tx, rx_id=rx, bs=32, padding=True) as messages:
        print("ready", flush=True)
        for _ in range(count):
            message = messages.recv()
            while message is None:
                message = messages.recv()
            messages.send(ISOTP(message.data[::-1]))
        # The last message is under way still: wait until it has been taken.
        sys.stdin.read()
