"""python-can between two multicast groups: what is read from one is written to the
other, as it is.

relay.py GROUP GROUP. It writes a line when it is ready, and ends with its input.
"""
import collections
import sys
import threading

import can

buses = [can.Bus(interface="udp_multicast", channel=group) for group in sys.argv[1:3]]
relayed = collections.Counter()


def relay(source, sink):
    # python-can hears what it has sent itself, and does not say so.
    while True:
        message = source.recv()
        frame = (message.arbitration_id, bytes(message.data))
        if relayed[id(source), frame] > 0:
            relayed[id(source), frame] -= 1
            continue
        relayed[id(sink), frame] += 1
        sink.send(message)


for pair in (buses, buses[::-1]):
    threading.Thread(target=relay, args=pair, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
