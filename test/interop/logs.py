"""python-can's readers and writers of logs.

logs.py read FORMAT FILE prints each message as a line of JSON; logs.py write FORMAT FILE
writes those that it gets as such lines.
"""
import json
import sys

from can import (ASCReader, ASCWriter, BLFReader, BLFWriter, CanutilsLogReader,
                 CanutilsLogWriter, Message, TRCReader, TRCWriter)

readers = {
    "candump": CanutilsLogReader,
    "asc": lambda path: ASCReader(path, relative_timestamp=False),
    "trc": TRCReader,
    "blf": BLFReader,
}
writers = {"candump": CanutilsLogWriter, "asc": ASCWriter, "trc": TRCWriter, "blf": BLFWriter}

how, form, path = sys.argv[1:]
if how == "read":
    for m in readers[form](path):
        print(json.dumps({
            "us": round(m.timestamp * 1e6), "channel": str(m.channel), "id": m.arbitration_id,
            "extended": m.is_extended_id, "remote": m.is_remote_frame, "error": m.is_error_frame,
            "fd": m.is_fd, "brs": m.bitrate_switch, "esi": m.error_state_indicator,
            "sent": not m.is_rx, "len": m.dlc, "data": bytes(m.data).hex(),
        }))
else:
    with writers[form](path) as log:
        for line in sys.stdin:
            m = json.loads(line)
            log.on_message_received(Message(
                timestamp=m["us"] / 1e6, channel=m["channel"], arbitration_id=m["id"],
                is_extended_id=m["extended"], is_remote_frame=m["remote"], is_error_frame=m["error"],
                is_fd=m["fd"], bitrate_switch=m["brs"], error_state_indicator=m["esi"],
                is_rx=not m["sent"], dlc=m["len"],
                data=None if m["remote"] else bytes.fromhex(m["data"]),
            ))
