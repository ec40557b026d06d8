package main

// A command line may name any bus.
import _ "example.com/isotp/canbus/all"
