"""python-can's reader and writer of candump logs.

candump.py read FILE prints each message as a line of JSON; candump.py write FILE
writes those that it gets as such lines.
"""
import json
import sys

from can import CanutilsLogReader, CanutilsLogWriter, Message

how, path = sys.argv[1:]
if how == "read":
    for m in CanutilsLogReader(path):
        print(json.dumps({
            "us": round(m.timestamp * 1e6), "channel": m.channel, "id": m.arbitration_id,
            "extended": m.is_extended_id, "remote": m.is_remote_frame, "error": m.is_error_frame,
            "fd": m.is_fd, "brs": m.bitrate_switch, "esi": m.error_state_indicator,
            "sent": not m.is_rx, "len": m.dlc, "data": bytes(m.data).hex(),
        }))
else:
    with CanutilsLogWriter(path) as log:
        for line in sys.stdin:
            m = json.loads(line)
            log.on_message_received(Message(
                timestamp=m["us"] / 1e6, channel=m["channel"], arbitration_id=m["id"],
                is_extended_id=m["extended"], is_remote_frame=m["remote"], is_error_frame=m["error"],
                is_fd=m["fd"], bitrate_switch=m["brs"], error_state_indicator=m["esi"],
                is_rx=not m["sent"], dlc=m["len"],
                data=None if m["remote"] else bytes.fromhex(m["data"]),
            ))
