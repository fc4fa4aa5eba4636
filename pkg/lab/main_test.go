package lab_test

import (
	"os"
	"testing"

	"eshop/pkg/lab"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(victimMode) != "" {
		os.Exit(m.Run()) // on purpose without an orderly end
	}
	code := lab.Main(m)
	if err := goleak.Find(); code == 0 && err != nil {
		os.Stderr.WriteString("goroutines are left: " + err.Error() + "\n")
		code = 1
	}
	os.Exit(code)
}
