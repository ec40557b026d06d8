module example.com/isotp

go 1.26.0
