package engine

// A Code says how a transmission or a reception ended, or why a frame was
// ignored. There is one for each N_Result of ISO 15765-2 and one for each error
// that can-isotp tells apart. isotpnet/errors.go has a Code and a text for each of these;
// a new one stands before NumCodes, and its row in docs/architecture.md says what else it
// needs.
type Code uint8

const (
	OK                       Code = iota // N_OK
	TimeoutA                             // N_TIMEOUT_A
	TimeoutBs                            // N_TIMEOUT_Bs
	TimeoutCr                            // N_TIMEOUT_Cr
	WrongSN                              // N_WRONG_SN
	InvalidFS                            // N_INVALID_FS
	WaitOverrun                          // N_WFT_OVRN, ours or the peer's
	WaitRefused                          // N_WFT_OVRN where no WAIT at all is accepted
	BufferOverflow                       // N_BUFFER_OVFLW: the peer answered OVFLW
	InterruptedBySingleFrame             // N_UNEXP_PDU
	InterruptedByFirstFrame              // N_UNEXP_PDU
	UnexpectedConsecutive                // N_UNEXP_PDU: ignored
	UnexpectedFlowControl                // N_UNEXP_PDU: ignored
	InvalidFrame                         // ignored
	MissingEscape                        // ignored
	InvalidFirstFrameLength              // ignored
	ChangedFrameLength                   // ignored
	FunctionalFirstFrame                 // ignored
	MessageTooLong                       // refused with OVFLW
	ReceiverFull                         // refused with OVFLW, or a Single Frame lost
	SourceFailed                         // N_ERROR: the reader of a streamed message failed
	SourceStalled                        // N_ERROR: it was too slow for N_Cs
	Aborted                              // N_ERROR: ended by our side
	FlowControlOwed                      // N_ERROR: the same before the First Frame, which had to wait: see Debt
	Refused                              // N_ERROR: the bus has refused a frame
	BusEnded                             // N_ERROR: the bus has failed, or a log ended, in mid-message
	TimeWentBack                         // N_ERROR: the frames' own time has gone back in mid-message
	NumCodes
)
