package main

type linkCmd struct {
	List linkListCmd `cmd:"" default:"withargs" help:"List CAN interfaces, adapters, and what the kernel can do (the default)."`
	Up   linkUpCmd   `cmd:"" help:"Set an interface up, with a bit rate."`
	Down linkDownCmd `cmd:"" help:"Set an interface down."`
}

func (*linkCmd) Help() string {
	return `
	isotp link
	sudo isotp link --vcan vcan0
	sudo isotp link up can0 --bitrate 500000
	sudo isotp link down can0
`
}
