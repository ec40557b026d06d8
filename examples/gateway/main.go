// Gateway lets programs talk to an ECU over TCP: each message is two bytes with its
// length, big endian, and its bytes, in both directions. One client at a time has the
// ECU, because ISO-TP has no connections that would tell the messages of several apart.
//
//	go run ./examples/gateway 127.0.0.1:1337 can0/7E0:7E8
//
// Without hardware there is a simulated ECU; both are on a bus of multicast datagrams if they
// are not told another:
//
//	go run ./cmd/isotp ecu udp:239.74.163.2:43113/7E8:7E0      (in another terminal)
//	go run ./examples/gateway                                  (in another)
//	printf '\0\003\042\361\220' | nc -w 1 127.0.0.1 1337 | xxd
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"net"
	"os"
	"time"

	_ "example.com/isotp/canbus/all"
	"example.com/isotp/isotpnet"
)

// patience is how long the ECU may put off a message.
const patience = 30 * time.Second

// serve joins the clients of a listener to an ECU, one after another, until the
// listener is closed.
func serve(ln net.Listener, ecuAddress isotpnet.Addr) error {
	for {
		client, err := ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return err
		}
		ecu, err := new(isotpnet.Dialer).DialAddr(context.Background(), "isotp", ecuAddress)
		if err != nil {
			client.Close()
			return err
		}
		log.Printf("%v has %v", client.RemoteAddr(), ecu.RemoteAddr())
		err = join(client, ecu)
		log.Printf("%v has left: %v", client.RemoteAddr(), err)
	}
}

// join carries messages both ways until one end fails, and closes both. It returns
// the reason.
func join(client net.Conn, ecu *isotpnet.Conn) error {
	ends := make(chan error, 2)
	go func() { ends <- toECU(ecu, client) }()
	go func() { ends <- toClient(client, ecu) }()
	err := <-ends
	client.Close()
	ecu.Close()
	<-ends
	return err
}

func toECU(ecu *isotpnet.Conn, client io.Reader) error {
	message := make([]byte, 1<<16)
	for {
		var head [2]byte
		if _, err := io.ReadFull(client, head[:]); err != nil {
			return err
		}
		n := binary.BigEndian.Uint16(head[:])
		if _, err := io.ReadFull(client, message[:n]); err != nil {
			return err
		}
		ecu.SetWriteDeadline(time.Now().Add(patience))
		// That the ECU does not take a message is no reason to hang up.
		if _, err := ecu.Write(message[:n]); isotpnet.Final(err) {
			return err
		} else if err != nil {
			log.Print(err)
		}
	}
}

func toClient(client io.Writer, ecu *isotpnet.Conn) error {
	message := make([]byte, 2+1<<16)
	for {
		n, info, err := ecu.ReadMessage(message[2:])
		switch {
		case isotpnet.Final(err):
			return err
		case err != nil:
			log.Print(err) // the next message may be good
			continue
		case info.Rest > 0 || n > 1<<16-1:
			return errors.New("the ECU has sent a message of more than 65535 bytes")
		}
		binary.BigEndian.PutUint16(message, uint16(n))
		if _, err := client.Write(message[:2+n]); err != nil {
			return err
		}
	}
}

func main() {
	tcp, can := "127.0.0.1:1337", "udp:239.74.163.2:43113/7E0:7E8"
	switch len(os.Args) {
	case 1:
	case 3:
		tcp, can = os.Args[1], os.Args[2]
	default:
		log.Fatal("usage: gateway [TCP-ADDRESS BUS/SEND:LISTEN], as in 127.0.0.1:1337 can0/7E0:7E8")
	}
	ecuAddress, err := isotpnet.ParseAddr(can)
	if err != nil {
		log.Fatal(err)
	}
	ln, err := net.Listen("tcp", tcp)
	if err != nil {
		log.Fatal(err)
	}
	if err := serve(ln, ecuAddress); err != nil {
		log.Fatal(err)
	}
}
