package settings

// A RefusedError reports settings that nothing can be built from, found only after they
// were read: once the sizes of images or of an environment are known. Trying again does
// not help, so commands exit with code 2 and sweeps do not retry.
type RefusedError struct{ err error }

// Refuse marks err as a RefusedError with the same text; nil stays nil.
func Refuse(err error) error {
	if err == nil {
		return nil
	}
	return &RefusedError{err}
}

func (e *RefusedError) Error() string { return e.err.Error() }

func (e *RefusedError) Unwrap() error { return e.err }
