package lifecycle

import (
	"fmt"
	"io"
)

// Address is one thing that a process can be reached at.
type Address struct{ What, URL string }

// Announce tells a person, or a script that started the process, that it is
// ready and where it listens: a title and one line for each address.
func Announce(out io.Writer, title string, addresses []Address) {
	fmt.Fprintln(out, title)
	for _, a := range addresses {
		fmt.Fprintf(out, "  %-19s %s\n", a.What, a.URL)
	}
}
