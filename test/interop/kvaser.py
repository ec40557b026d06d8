"""Drives the fake of CANlib (test/fakes) through python-can's kvaser interface."""
import ctypes
import select
import time
import unittest

import can
from can.interfaces.kvaser import KvaserBus, canlib, constants

fake = ctypes.CDLL("libcanlib.so")
FIELDS = ("arbitration_id", "is_extended_id", "is_remote_frame", "is_error_frame", "dlc", "data", "is_fd",
          "bitrate_switch")


class Kvaser(unittest.TestCase):
    def setUp(self):
        fake.fake_reset()

    def bus(self, channel, **kwargs):
        bus = KvaserBus(channel, **kwargs)
        self.addCleanup(bus.shutdown)
        return bus

    def pair(self, **kwargs):
        return self.bus(0, **kwargs), self.bus(1, **kwargs)

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

    def read(self, handle):
        """Reads a message's identifier, length and flags, as python-can does not return all."""
        identifier, length, flags = ctypes.c_long(), ctypes.c_uint(), ctypes.c_uint()
        result = canlib.canReadWait(handle, ctypes.byref(identifier), ctypes.create_string_buffer(64),
                                    ctypes.byref(length), ctypes.byref(flags), None, 20000)
        self.assertEqual(result, constants.canOK)
        return identifier.value, length.value, flags.value

    def set(self, handle, function, value, kind=ctypes.c_uint32):
        canlib.canIoCtl(handle, function, ctypes.byref(kind(value)), ctypes.sizeof(kind))

    def test_classic_frames(self):
        one, two = self.pair()
        self.exchange(one, two, arbitration_id=0x7FF, data=b"12345678", is_extended_id=False)
        self.exchange(two, one, arbitration_id=0x1FFFFFFF, data=b"", is_extended_id=True)

    def test_remote_frames(self):
        one, two = self.pair()
        one.send(can.Message(arbitration_id=0x123, is_remote_frame=True, is_extended_id=False))
        got = self.receive(two)
        self.assertTrue(got.is_remote_frame)
        self.assertEqual(got.arbitration_id, 0x123)

    def test_fd_frames(self):
        one, two = self.pair(fd=True, bitrate=500_000, data_bitrate=2_000_000)
        self.exchange(one, two, arbitration_id=0x123, data=bytes(range(64)), is_fd=True, bitrate_switch=True)
        self.exchange(two, one, arbitration_id=0x123, data=bytes(12), is_fd=True)
        self.exchange(one, two, arbitration_id=0x123, data=b"classic")

    def test_times_are_those_of_the_clock(self):
        one, two = self.pair()
        before = time.time()
        got = self.exchange(one, two, arbitration_id=1, data=b"")
        self.assertAlmostEqual(got.timestamp, before, delta=20)

    def test_order_of_many(self):
        one, two = self.pair()
        fake.fake_transmit_queue(0, 1000)
        for i in range(1000):
            one.send(can.Message(arbitration_id=0x100, data=i.to_bytes(4, "big")))
        for i in range(1000):
            self.assertEqual(int.from_bytes(self.receive(two).data, "big"), i)

    def test_other_bitrates_are_not_understood(self):
        one, two = self.bus(0, bitrate=500_000), self.bus(1, bitrate=250_000)
        one.send(can.Message(arbitration_id=1))
        self.assertTrue(self.receive(two).is_error_frame)

    def test_bitrate_by_its_segments(self):
        one = self.bus(0, bitrate=800_000, tseg1=14, tseg2=5, sjw=4)
        two = self.bus(1, bitrate=800_000, tseg1=7, tseg2=2, sjw=1)
        self.exchange(one, two, arbitration_id=1, data=b"")
        with self.assertRaises(can.CanInitializationError):
            KvaserBus(2, bitrate=800_000, tseg1=5, tseg2=2, sjw=1)

    def test_error_frames(self):
        one, _ = self.pair()
        fake.fake_error(1)
        self.assertTrue(self.receive(one).is_error_frame)

    def test_own_messages_on_the_other_handle(self):
        one, _ = self.pair(receive_own_messages=True)
        one.send(can.Message(arbitration_id=0x123, is_extended_id=False))
        self.assertEqual(self.receive(one).arbitration_id, 0x123)

    def test_own_messages_are_left_out(self):
        one, two = self.pair()
        self.exchange(one, two, arbitration_id=1, data=b"")
        self.exchange(two, one, arbitration_id=2, data=b"")  # is the first that one receives

    def test_acknowledgements(self):
        one, two = self.pair(single_handle=True)
        self.set(one._write_handle, constants.canIOCTL_SET_TXACK, 1)
        fake.fake_hold(0, 1)
        one.send(can.Message(arbitration_id=0x123, data=b"abc", is_extended_id=False))
        self.assertIsNone(one.recv(0))
        fake.fake_hold(0, 0)
        self.assertEqual(self.read(one._read_handle), (0x123, 3, constants.canMSG_STD | constants.canMSG_TXACK))
        self.assertEqual(self.read(two._read_handle), (0x123, 3, constants.canMSG_STD))

    def test_full_queue(self):
        one, two = self.pair()
        fake.fake_refuse(0, 1)
        with self.assertRaises(can.CanOperationError) as e:
            one.send(can.Message(arbitration_id=1))
        self.assertEqual(e.exception.error_code, constants.canERR_TXBUFOFL)
        one.send(can.Message(arbitration_id=2))
        self.assertEqual(self.receive(two).arbitration_id, 2)

    def test_send_waits_for_a_slow_adapter(self):
        one, two = self.pair()
        fake.fake_hold(0, 1)
        with self.assertRaises(can.CanOperationError) as e:
            one.send(can.Message(arbitration_id=1), timeout=0.01)
        self.assertEqual(e.exception.error_code, constants.canERR_TIMEOUT)
        fake.fake_hold(0, 0)
        fake.fake_delay(0, 10_000)
        one.send(can.Message(arbitration_id=2), timeout=20)
        self.assertEqual(fake.fake_waiting(0), 0)
        self.assertEqual([self.receive(two).arbitration_id for _ in range(2)], [1, 2])

    def test_flush_of_the_transmit_buffer(self):
        one, two = self.pair()
        fake.fake_hold(0, 1)
        one.send(can.Message(arbitration_id=1))
        one.flush_tx_buffer()
        fake.fake_hold(0, 0)
        self.exchange(one, two, arbitration_id=2, data=b"")

    def status(self, bus):
        flags = ctypes.c_ulong()
        self.assertEqual(fake.canReadStatus(bus._read_handle, ctypes.byref(flags)), constants.canOK)
        return flags.value

    def test_status(self):
        one, _ = self.pair()
        for state, bit in ((1, 0x4), (2, 0x1), (3, 0x2), (0, 0x8)):
            fake.fake_state(0, state)
            self.assertEqual(self.status(one) & 0xF, bit)

    def test_bus_off(self):
        one, two = self.pair()
        fake.fake_state(0, 3)
        one.send(can.Message(arbitration_id=1))  # is taken, and stays
        self.assertEqual(fake.fake_waiting(0), 1)
        self.assertTrue(self.receive(one).is_error_frame)
        canlib.canBusOff(one._read_handle)
        canlib.canBusOn(one._read_handle)
        self.assertEqual(self.status(one) & 0xF, 2)  # the other handle was still on the bus
        canlib.canBusOff(one._read_handle)
        canlib.canBusOff(one._write_handle)
        canlib.canBusOn(one._read_handle)
        canlib.canBusOn(one._write_handle)
        self.exchange(one, two, arbitration_id=2, data=b"")

    def test_lost_frames(self):
        _, two = self.pair()
        fake.fake_lose(1, 3)
        fake.fake_flood(0x100, 4)
        self.assertEqual(self.read(two._read_handle), (0x100, 4, constants.canMSG_STD | constants.canMSGERR_HW_OVERRUN))

    def test_full_receive_queue(self):
        one, two = self.pair()
        fake.fake_flood(0x100, 4096 + 2)
        for i in range(4096):
            self.assertEqual(int.from_bytes(two.recv(0).data, "big"), i)
        self.assertIsNone(two.recv(0))
        one.send(can.Message(arbitration_id=1, is_extended_id=False))
        self.assertEqual(self.read(two._read_handle), (1, 0, constants.canMSG_STD | constants.canMSGERR_SW_OVERRUN))

    def test_silent(self):
        one, two = self.bus(0), self.bus(1, driver_mode=canlib.DRIVER_MODE_SILENT, single_handle=True)
        self.exchange(one, two, arbitration_id=1, data=b"")
        two.send(can.Message(arbitration_id=2))
        self.exchange(one, two, arbitration_id=3, data=b"")
        self.assertEqual(fake.fake_waiting(1), 1)

    def test_event(self):
        one, two = self.pair()
        event = ctypes.c_int()
        canlib.canIoCtl(two._read_handle, constants.canIOCTL_GET_EVENTHANDLE, ctypes.byref(event), 4)
        self.assertEqual(select.select([event.value], [], [], 0)[0], [])
        one.send(can.Message(arbitration_id=1))
        self.assertEqual(select.select([event.value], [], [], 20)[0], [event.value])
        self.receive(two)
        self.assertEqual(select.select([event.value], [], [], 0)[0], [])

    def test_filter(self):
        one, two = self.pair()
        two.set_filters([{"can_id": 0x100, "can_mask": 0x700, "extended": False}])
        for arbitration_id in (0xFF, 0x200, 0x1FF):
            one.send(can.Message(arbitration_id=arbitration_id, is_extended_id=False))
        self.assertEqual(self.receive(two).arbitration_id, 0x1FF)

    def test_channels(self):
        self.assertEqual(can.detect_available_configs("kvaser"), [{"interface": "kvaser", "channel": i} for i in range(4)])
        self.assertEqual(canlib.get_channel_info(1), "Kvaser USBcan Pro 2xHS v2, S/N 10101 (#2)")

    def test_virtual_channel(self):
        with self.assertRaises(can.CanInitializationError):
            KvaserBus(3, accept_virtual=False)
        self.exchange(self.bus(0), self.bus(3), arbitration_id=1, data=b"")

    def test_channel_without_fd(self):
        with self.assertRaises(can.CanInitializationError):
            KvaserBus(2, fd=True)

    def test_statistics(self):
        one, two = self.pair()
        self.exchange(one, two, arbitration_id=1, data=b"", is_extended_id=True)
        fake.fake_error(1)
        stats = two.get_stats()
        self.assertEqual((stats.ext_data, stats.std_data, stats.err_frame), (1, 0, 1))

    def test_pulled_cable(self):
        one, two = self.pair()
        fake.fake_pull(0, 0, 0)
        for call in (lambda: one.send(can.Message(arbitration_id=1)), lambda: one.recv(0)):
            with self.assertRaises(can.CanOperationError) as e:
                call()
            self.assertEqual(e.exception.error_code, constants.canERR_HARDWARE)
        fake.fake_plug(0)
        self.exchange(one, two, arbitration_id=1, data=b"")


if __name__ == "__main__":
    unittest.main()
