"""scapy's isotp_scan on a bus of python-can.

scan.py BUS ALL SCAN..., with the arguments of can.Bus, and of isotp_scan: those that all
scans have, and those of each. They are JSON; ranges are [FIRST, END, STEP]. It prints each endpoint that is found as a line of JSON.
"""
import json
import sys

from scapy.config import conf

conf.contribs["ISOTP"] = {"use-can-isotp-kernel-module": False}
conf.contribs["CANSocket"] = {"use-python-can": True}
from scapy.contrib.cansocket_python_can import PythonCANSocket  # noqa: E402
from scapy.contrib.isotp import isotp_scan  # noqa: E402

bus, common = json.loads(sys.argv[1]), json.loads(sys.argv[2])
for text in sys.argv[3:]:
    scan = common | json.loads(text)
    for name in ("scan_range", "extended_scan_range"):
        if name in scan:
            scan[name] = range(*scan[name])
    with PythonCANSocket(**bus) as frames:
        for endpoint in isotp_scan(frames, **scan):
            print(json.dumps({
                "to": endpoint.tx_id, "to_byte": endpoint.ext_address,
                "from": endpoint.rx_id, "from_byte": endpoint.rx_ext_address,
                "padding": endpoint.impl.padding,
            }), flush=True)
            endpoint.close()
