// Ssh is an ssh server in an ECU, and a client for it, on isotp-stream.
//
//	go run ./examples/ssh ecu can0/7E8:7E0
//	go run ./examples/ssh tester KEY vin can0/7E0:7E8
//
// KEY is the host key's fingerprint, which the ECU prints. Without hardware both are on a bus of
// multicast datagrams:
//
//	go run ./examples/ssh ecu               (in another terminal)
//	go run ./examples/ssh tester KEY vin
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"

	"golang.org/x/crypto/ssh"

	_ "example.com/isotp/canbus/all" // the user names the bus
	"example.com/isotp/isotpnet"
)

const (
	user     = "tester"
	password = "secret" // a sample: a real ECU knows its testers by their keys
)

// commands are what the ECU can be told to do.
var commands = map[string]string{
	"vin":         "WVWZZZ1JZXW000001\n",
	"temperature": "the engine has 91 degrees\n",
}

// serverConfig makes a host key, and returns its fingerprint, too.
func serverConfig() (config *ssh.ServerConfig, fingerprint string, err error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, "", err
	}
	signer, err := ssh.NewSignerFromSigner(key)
	if err != nil {
		return nil, "", err
	}
	config = &ssh.ServerConfig{PasswordCallback: func(c ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
		if c.User() != user || string(p) != password {
			return nil, errors.New("wrong user or password")
		}
		return nil, nil
	}}
	config.AddHostKey(signer)
	return config, ssh.FingerprintSHA256(signer.PublicKey()), nil
}

// ecu serves at an address until ctx ends. It calls ready with its host key's fingerprint
// once it listens.
func ecu(ctx context.Context, address string, ready func(fingerprint string)) error {
	config, fingerprint, err := serverConfig()
	if err != nil {
		return err
	}
	ln, err := new(isotpnet.ListenConfig).Listen(ctx, "isotp-stream", address)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	ready(fingerprint)
	for {
		c, err := ln.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			defer context.AfterFunc(ctx, func() { c.Close() })()
			if err := serve(c, config); err != nil {
				log.Print(err)
			}
		}()
	}
}

// serve serves one client until it leaves.
func serve(c net.Conn, config *ssh.ServerConfig) error {
	defer c.Close()
	_, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		return err
	}
	go ssh.DiscardRequests(requests)
	for wanted := range channels {
		if wanted.ChannelType() != "session" {
			wanted.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		channel, requests, err := wanted.Accept()
		if err != nil {
			return err
		}
		go session(channel, requests)
	}
	return nil
}

// session does one command.
func session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for r := range requests {
		var command struct{ Text string }
		if r.Type != "exec" || ssh.Unmarshal(r.Payload, &command) != nil {
			r.Reply(false, nil)
			continue
		}
		r.Reply(true, nil)
		answer, known := commands[command.Text]
		var status struct{ Status uint32 }
		if !known {
			status.Status = 127
			fmt.Fprintf(channel.Stderr(), "%s: no such command\n", command.Text)
		}
		io.WriteString(channel, answer)
		channel.SendRequest("exit-status", false, ssh.Marshal(status))
		return
	}
}

// tell tells an ECU a command, and returns what it answers.
func tell(ctx context.Context, address, fingerprint, command string) (answer []byte, err error) {
	raw, err := new(isotpnet.Dialer).DialContext(ctx, "isotp-stream", address)
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	c, channels, requests, err := ssh.NewClientConn(raw, "ecu", &ssh.ClientConfig{
		User: user,
		Auth: []ssh.AuthMethod{ssh.Password(password)},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if got := ssh.FingerprintSHA256(key); got != fingerprint {
				return fmt.Errorf("the ECU's key is %s, not %s", got, fingerprint)
			}
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	client := ssh.NewClient(c, channels, requests)
	defer client.Close()
	s, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.CombinedOutput(command)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	args := os.Args[1:]
	arg := func(i int, otherwise string) string {
		if i < len(args) {
			return args[i]
		}
		return otherwise
	}
	var err error
	switch {
	case arg(0, "") == "ecu":
		address := arg(1, "udp:239.74.163.2:43113/7E8:7E0")
		err = ecu(ctx, address, func(fingerprint string) { fmt.Println("listening on", address, "with the key", fingerprint) })
	case arg(0, "") == "tester" && len(args) >= 3:
		var answer []byte
		answer, err = tell(ctx, arg(3, "udp:239.74.163.2:43113/7E0:7E8"), args[1], args[2])
		os.Stdout.Write(answer)
	default:
		log.Fatal("usage: ssh ecu [BUS/SEND:LISTEN], as in ecu can0/7E8:7E0, or ssh tester KEY vin|temperature [BUS/SEND:LISTEN]")
	}
	if err != nil {
		log.Fatal(err)
	}
}
