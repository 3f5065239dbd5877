package mirror

import (
	"context"
	"os"
	"testing"

	"hafs/lib/client/sftpd"
)

// TestMain lets the test's own binary be what sshfs starts in the place of ssh: a session of SFTP as hafs-gate serves it.
func TestMain(m *testing.M) {
	directory := os.Getenv("HAFS_TEST_SFTP_DIRECTORY")
	if directory == "" {
		os.Exit(m.Run())
	}
	if err := (sftpd.Server{}).Serve(context.Background(), directory, os.Stdin, os.Stdout); err != nil {
		_, _ = os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
}
