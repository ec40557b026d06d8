package isotpnet_test

import (
	"errors"
	"fmt"
	"log"
	"time"

	"example.com/isotp/isotpnet"
)

// What only Linux's ISO-TP sockets can do: the kernel takes no message with frames that are not
// filled up with 55, and leaves 100 us more before each Consecutive Frame. With such options
// "isotp" never takes the engine of this package.
func ExampleKernelOptions() {
	dialer := isotpnet.Dialer{Config: isotpnet.Config{Kernel: isotpnet.KernelOptions{
		Flags:       isotpnet.KernelCheckPadLen | isotpnet.KernelCheckPadData,
		RxPadding:   isotpnet.PadWith(0x55),
		FrameTxTime: 100 * time.Microsecond,
	}}}
	conn, err := dialer.Dial("isotp", "can0/7E0:7E8")
	if errors.Is(err, errors.ErrUnsupported) {
		log.Fatal("not on this computer: ", err)
	}
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
}

// Whether a functional request of several frames can be sent here, which ISO 15765-2 does not
// know.
func ExampleProbeKernel() {
	info, err := isotpnet.ProbeKernel()
	if err != nil {
		fmt.Println("there is only isotp:user:", err)
		return
	}
	fmt.Printf("Linux %s has messages of up to %d bytes\n", info.Release, info.MaxMessageSize)
	fmt.Println("functional ones of several frames:", info.Flags&isotpnet.KernelBroadcast != 0)
}
