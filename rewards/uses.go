package rewards

// uses says what a rule reads, so that only that is prepared. It errs on the
// side of more.
type uses uint

const (
	usesFacts      uses = 1 << iota
	usesSteps           // the list steps or tools
	usesMessages        // the list messages
	usesArgs            // parsed arguments
	usesAttributes      // parsed attributes
	usesRepeated
	usesText

	usesEverything uses = 1<<iota - 1 - usesFacts
)

func usesOf(name string) uses {
	switch name {
	case "steps", "tools":
		return usesSteps
	case "messages":
		return usesMessages
	case "args":
		return usesArgs
	case "attributes":
		return usesAttributes
	case "repeated":
		return usesRepeated
	case "text":
		return usesText
	}
	return 0
}
