"""Drives the fake of PCAN-Basic (test/fakes) through python-can's pcan interface."""
import ctypes
import select
import time
import unittest

import can
from can.interfaces.pcan import PcanBus, basic

fake = ctypes.CDLL("libpcanbasic.so")
USB1, USB2, USB3 = 0x51, 0x52, 0x53
FD_TIMING = dict(
    f_clock=80_000_000,
    nom_brp=10, nom_tseg1=12, nom_tseg2=3, nom_sjw=3,
    data_brp=2, data_tseg1=15, data_tseg2=4, data_sjw=4,
)
FIELDS = ("arbitration_id", "is_extended_id", "is_remote_frame", "is_error_frame", "dlc", "data", "is_fd",
          "bitrate_switch")


def wait_for(condition):
    """Waits until something is so, and fails if it takes long."""
    end = time.monotonic() + 20
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("it did not come to pass")
        time.sleep(0.001)


class PCAN(unittest.TestCase):
    def setUp(self):
        fake.fake_reset()

    def bus(self, channel, **kwargs):
        bus = PcanBus(channel, **kwargs)
        self.addCleanup(bus.shutdown)
        return bus

    def pair(self, **kwargs):
        return self.bus("PCAN_USBBUS1", **kwargs), self.bus("PCAN_USBBUS2", **kwargs)

    def receive(self, bus):
        message = bus.recv(20)
        self.assertIsNotNone(message)
        return message

    def exchange(self, sender, receiver, **kwargs):
        """Sends a message and returns it as it was received."""
        sent = can.Message(**kwargs)
        sender.send(sent)
        got = self.receive(receiver)
        for field in FIELDS:
            self.assertEqual(getattr(got, field), getattr(sent, field), f"{field}: {got} came for {sent}")
        return got

    def test_classic_frames(self):
        one, two = self.pair()
        self.exchange(one, two, arbitration_id=0x7FF, data=b"12345678", is_extended_id=False)
        self.exchange(two, one, arbitration_id=0x1FFFFFFF, data=b"", is_extended_id=True)

    def test_remote_frames(self):
        one, two = self.pair()
        self.exchange(one, two, arbitration_id=0x123, is_remote_frame=True, dlc=5, is_extended_id=False)

    def test_fd_frames(self):
        one, two = self.pair(fd=True, **FD_TIMING)
        self.exchange(one, two, arbitration_id=0x123, data=bytes(range(64)), is_fd=True, bitrate_switch=True)
        self.exchange(two, one, arbitration_id=0x123, data=bytes(12), is_fd=True)
        self.exchange(one, two, arbitration_id=0x123, data=b"classic")

    def test_times_rise(self):
        one, two = self.pair()
        first = self.exchange(one, two, arbitration_id=1, data=b"")
        second = self.exchange(one, two, arbitration_id=2, data=b"")
        self.assertLess(first.timestamp, second.timestamp)

    def test_order_of_many(self):
        one, two = self.pair()
        fake.fake_transmit_queue(USB1, 1000)
        for i in range(1000):
            one.send(can.Message(arbitration_id=0x100, data=i.to_bytes(4, "big")))
        for i in range(1000):
            self.assertEqual(int.from_bytes(self.receive(two).data, "big"), i)

    def test_other_bitrates_are_not_understood(self):
        one = self.bus("PCAN_USBBUS1", bitrate=500_000)
        two = self.bus("PCAN_USBBUS2", bitrate=250_000)
        one.send(can.Message(arbitration_id=1))
        self.assertTrue(self.receive(two).is_error_frame)

    def test_error_frames(self):
        one, _ = self.pair()
        fake.fake_error(2)
        got = self.receive(one)
        self.assertTrue(got.is_error_frame)
        self.assertEqual(got.arbitration_id, 2)  # a form error

    def test_full_queue(self):
        one, two = self.pair()
        fake.fake_refuse(USB1, 1)
        with self.assertRaises(can.CanOperationError):
            one.send(can.Message(arbitration_id=1))
        one.send(can.Message(arbitration_id=2))
        self.assertEqual(self.receive(two).arbitration_id, 2)

    def test_queue_of_a_slow_adapter(self):
        one, two = self.pair()
        fake.fake_hold(USB1, 1)
        fake.fake_transmit_queue(USB1, 3)
        for i in range(3):
            one.send(can.Message(arbitration_id=i))
        with self.assertRaises(can.CanOperationError):
            one.send(can.Message(arbitration_id=3))
        self.assertEqual(fake.fake_waiting(USB1), 3)
        fake.fake_hold(USB1, 0)
        self.assertEqual([self.receive(two).arbitration_id for _ in range(3)], [0, 1, 2])

    def test_status(self):
        one, _ = self.pair()
        self.assertTrue(one.status_is_ok())
        for state, status in ((1, "BUSLIGHT"), (2, "BUSWARNING"), (3, "BUSOFF"), (0, "OK")):
            fake.fake_state(USB1, state)
            self.assertEqual(one.status_string(), status)

    def test_status_of_fd(self):
        one, _ = self.pair(fd=True, **FD_TIMING)
        for state, status in ((1, basic.PCAN_ERROR_BUSWARNING), (2, basic.PCAN_ERROR_BUSPASSIVE), (3, basic.PCAN_ERROR_BUSOFF)):
            fake.fake_state(USB1, state)
            self.assertEqual(one.status(), status)

    def test_faults_out_of_range(self):
        for answer in (fake.fake_state(USB1, 4), fake.fake_error(4), fake.fake_refuse(USB1, -1), fake.fake_send(1, 32, 0, None)):
            self.assertEqual(answer, -1)

    def test_bus_off(self):
        one, _ = self.pair()
        fake.fake_state(USB1, 3)
        with self.assertRaises(can.CanOperationError):
            one.send(can.Message(arbitration_id=1))
        with self.assertRaises(can.CanOperationError):  # the status message
            one.recv(20)

    def test_bus_off_with_reset(self):
        one = self.bus("PCAN_USBBUS1", auto_reset=True)
        two = self.bus("PCAN_USBBUS2")
        fake.fake_state(USB1, 3)
        with self.assertRaises(can.CanOperationError):
            one.recv(20)
        self.exchange(one, two, arbitration_id=1, data=b"")

    def test_alone_on_the_bus(self):
        fake.fake_acknowledge(0)
        one = self.bus("PCAN_USBBUS1")
        one.send(can.Message(arbitration_id=1))
        wait_for(lambda: one.status_string() == "BUSWARNING")
        two = self.bus("PCAN_USBBUS2")
        self.assertEqual(self.receive(two).arbitration_id, 1)
        wait_for(lambda: one.status_is_ok())

    def test_lost_frames(self):
        _, two = self.pair()
        fake.fake_lose(USB2, 3)
        fake.fake_flood(0x100, 4)
        with self.assertRaisesRegex(can.CanOperationError, "too late"):
            two.recv(20)
        self.assertEqual(self.receive(two).data, b"\0\0\0\3")

    def test_full_receive_queue(self):
        _, two = self.pair()
        fake.fake_flood(0x100, 32767 + 2)
        for i in range(32767):
            self.assertEqual(int.from_bytes(two.recv(0).data, "big"), i)
        with self.assertRaisesRegex(can.CanOperationError, "too late"):
            two.recv(0)
        self.assertIsNone(two.recv(0))

    def test_listen_only(self):
        one = self.bus("PCAN_USBBUS1")
        two = self.bus("PCAN_USBBUS2", state=can.BusState.PASSIVE)
        self.exchange(one, two, arbitration_id=1, data=b"")
        with self.assertRaises(can.CanOperationError):
            two.send(can.Message(arbitration_id=1))

    def test_receive_event(self):
        one, two = self.pair()
        error, fd = two.m_objPCANBasic.GetValue(two.m_PcanHandle, basic.PCAN_RECEIVE_EVENT)
        self.assertEqual(error, basic.PCAN_ERROR_OK)
        self.assertEqual(select.select([fd], [], [], 0)[0], [])
        one.send(can.Message(arbitration_id=1))
        one.send(can.Message(arbitration_id=2))
        for arbitration_id in (1, 2):
            self.assertEqual(select.select([fd], [], [], 20)[0], [fd])
            self.assertEqual(self.receive(two).arbitration_id, arbitration_id)
        self.assertEqual(select.select([fd], [], [], 0)[0], [])

    def test_filter(self):
        one, two = self.pair()
        two.m_objPCANBasic.FilterMessages(two.m_PcanHandle, 0x100, 0x1FF, basic.PCAN_MODE_STANDARD)
        for arbitration_id, is_extended in ((0xFF, False), (0x200, False), (0x100, True), (0x1FF, False)):
            one.send(can.Message(arbitration_id=arbitration_id, is_extended_id=is_extended))
        self.assertEqual(self.receive(two).arbitration_id, 0x1FF)

    def test_echoes(self):
        one, _ = self.pair()
        on = ctypes.c_uint32(1)
        self.assertEqual(fake.CAN_SetValue(USB1, 0x2C, ctypes.byref(on), 4), 0)
        one.send(can.Message(arbitration_id=0x123, is_extended_id=False))
        wait_for(lambda: fake.fake_waiting(USB1) == 0)
        result, message, _ = one.m_objPCANBasic.Read(one.m_PcanHandle)
        self.assertEqual((result, message.ID, message.MSGTYPE), (0, 0x123, 0x20))

    def test_channels(self):
        self.assertEqual(
            can.detect_available_configs("pcan"),
            [{"interface": "pcan", "channel": f"PCAN_USBBUS{i}", "supports_fd": i < 3} for i in (1, 2, 3, 4)],
        )
        self.bus("PCAN_USBBUS1")
        self.assertEqual(can.detect_available_configs("pcan")[0]["channel"], "PCAN_USBBUS2")

    def test_channel_by_its_device(self):
        bus = self.bus(None, device_id=0x12)
        self.assertEqual(bus.channel_info, "PCAN_USBBUS3")

    def test_channel_without_fd(self):
        with self.assertRaises(can.CanInitializationError):
            PcanBus("PCAN_USBBUS3", fd=True, **FD_TIMING)

    def test_channel_in_use(self):
        self.bus("PCAN_USBBUS1")
        with self.assertRaises(can.CanInitializationError):
            PcanBus("PCAN_USBBUS1")

    def test_bad_timing(self):
        for key, value in (("nom_brp", 1025), ("data_tseg1", 33), ("f_clock", 8_000_000)):
            with self.assertRaises(can.CanInitializationError):
                PcanBus("PCAN_USBBUS1", fd=True, **{**FD_TIMING, key: value})

    def test_pulled_cable(self):
        one, two = self.pair()
        fake.fake_pull(USB1, 0, 0)
        for call in (lambda: one.send(can.Message(arbitration_id=1)), lambda: one.recv(0)):
            with self.assertRaises(can.CanOperationError):
                call()
        self.assertEqual(one.status_string(), "ILLHW")
        self.assertEqual(len(can.detect_available_configs("pcan")), 2)
        one.shutdown()
        fake.fake_plug(USB1)
        self.exchange(self.bus("PCAN_USBBUS1"), two, arbitration_id=1, data=b"")


if __name__ == "__main__":
    unittest.main()
