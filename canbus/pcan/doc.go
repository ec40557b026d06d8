// Package pcan is a CAN adapter of PEAK-System, as PCAN-USB, reached through the maker's
// library: PCANBasic.dll on Windows, which comes with PEAK's driver, and libPCBUSB.dylib on
// macOS, which MacCAN provides. It needs no cgo. On Linux these adapters are network
// interfaces, which package socketcan serves: nothing is loaded there, and Open says so.
// Importing the package makes [canbus.Open] know the scheme "pcan":
//
//	import _ "example.com/isotp/canbus/pcan"
//
//	c, err := isotpnet.Dial("isotp", "pcan:USB1@500000/7E0:7E8")
//
// This driver is experimental. It was tried against a simulated library, also under Wine, and
// not on hardware; on macOS it was only compiled. If it works for you, or does not, tell the
// project which adapter, driver and version of the library you have, and what the errors say.
//
// Names are pcan:CHANNEL@BITRATE: pcan:USB1@500000. Channels are USB1 to USB16, PCI1 to PCI16,
// LAN1 to LAN16, PCC1, PCC2, ISA1 to ISA8 and DNG1, also as PEAK writes them: PCAN_USBBUS1. All
// names of one channel with the same options are one bus; with other options it cannot be open
// beside that. [Channels] lists those that are attached. For classic CAN the bit rate is one of
// 5000, 10000, 20000, 33333, 47619, 50000, 83333, 95238, 100000, 125000, 250000, 500000, 800000
// and 1000000, with the timing that PEAK has for it, or s and the registers BTR0 and BTR1 of an
// SJA1000: pcan:USB1@s001C. What may follow:
//
//	,data=2000000   CAN FD: the bit rate of the data phase
//	,listen         listen only: nothing is sent, no acknowledgement either
//	,noecho         do not ask for echoes, see below
//
// With CAN FD the timing is made from a clock of 80 MHz if that can make both bit rates, else
// from one of 60, 40, 30, 24 or 20 MHz. The sample points are those that CiA 601-3 recommends: 80 %
// of a bit, and 75 % in data phases above 2 Mbit/s. Others are had by the text that PEAK's
// CAN_InitializeFD takes, in place of the bit rate:
//
//	pcan:USB1@f_clock=80000000,nom_brp=2,nom_tseg1=63,nom_tseg2=16,nom_sjw=16,data_brp=2,data_tseg1=15,data_tseg2=4,data_sjw=4
//
// A channel that a program has open is not open to others.
//
// # What is on the wire
//
// The Bus asks the library for echoes (PCAN_ALLOW_ECHO_FRAMES: PCAN-Basic 4.6 and newer, and
// hardware that has them). Then a frame comes back from ReadFrames with the flag Echo when it has
// left, and up to 64 frames are in flight. A frame that a later one has overtaken was not sent: it
// comes back with Echo and Refused. Where there are no echoes the Bus sends no faster than the
// wire can. If writes wait for echoes that never come, although others get the frames, say noecho.
//
// [Bus.Flush], and [Bus.Close], wait for the echoes of all frames. If none comes for a second
// longer than the frames take, no other node acknowledges them, perhaps. Where there are no echoes
// they wait as long as the frames take on the wire, and 20 ms.
//
// # Errors of the bus
//
// ReadFrames returns error frames as SocketCAN has them: for changes of the controller's state,
// for errors of the protocol where the hardware reports them, and where frames were lost. At
// bus-off the library resets the controller (PCAN_BUSOFF_AUTORESET), and the Bus goes on when
// that is done, which an error frame tells; meanwhile WriteFrames returns temporary errors. The
// frames that were in flight at bus-off come back as refused.
//
// # What is lost
//
// When the adapter is pulled out, every call fails with [canbus.GoneError], which says how many
// frames are in doubt, within 0.25 s. The Bus reads the library without pause, and holds up to 4096
// frames that ReadFrames has not returned; it counts what does not fit ([Bus.Dropped]). If the
// adapter or the library has lost frames, that counts as one: they do not say how many. An error
// frame tells of it, too.
package pcan
