package lab_test

import (
	"os"
	"testing"

	"eshop/pkg/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }
