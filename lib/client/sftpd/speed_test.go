package sftpd

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pkg/sftp"
)

// Each server in a process of its own: go test -bench . -benchtime 2000x -run XXX
func BenchmarkSmallFile(b *testing.B) {
	speed(b, func(b *testing.B, c *sftp.Client, share string) {
		text := make([]byte, 4<<10)
		for b.Loop() {
			f, err := c.OpenFile(share+"/f", os.O_WRONLY|os.O_CREATE)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := f.Write(text); err != nil {
				b.Fatal(err)
			}
			if err := f.Close(); err != nil {
				b.Fatal(err)
			}
			if err := c.Remove(share + "/f"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSmallWrite(b *testing.B) {
	speed(b, func(b *testing.B, c *sftp.Client, share string) {
		f, err := c.Create(share + "/f")
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		text := make([]byte, 4<<10)
		for b.Loop() {
			if _, err := f.WriteAt(text, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkLargeFile(b *testing.B) {
	const size = 128 << 20
	text := make([]byte, size)
	for direction, run := range map[string]func(f *sftp.File) error{
		"write": func(f *sftp.File) error { _, err := f.WriteAt(text, 0); return err },
		"read":  func(f *sftp.File) error { _, err := f.ReadAt(text, 0); return err },
	} {
		b.Run(direction, func(b *testing.B) {
			speed(b, func(b *testing.B, c *sftp.Client, share string) {
				if err := os.WriteFile(share+"/f", text, 0o600); err != nil {
					b.Fatal(err)
				}
				f, err := c.OpenFile(share+"/f", os.O_RDWR)
				if err != nil {
					b.Fatal(err)
				}
				defer f.Close()
				b.SetBytes(size)
				for b.Loop() {
					if err := run(f); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

func speed(b *testing.B, run func(b *testing.B, c *sftp.Client, share string)) {
	for name, program := range map[string]string{"ours": os.Args[0], "openssh": opensshServer} {
		b.Run(name, func(b *testing.B) {
			if _, err := os.Stat(program); err != nil {
				b.Skip(err)
			}
			share := filepath.Join(b.TempDir(), "nfs")
			cmd := exec.Command(program, "-d", share)
			cmd.Env = []string{"SFTPD_TEST_DIRECTORY=" + share, "GOMAXPROCS=1"} // as the units
			in, inErr := cmd.StdinPipe()
			out, outErr := cmd.StdoutPipe()
			if err := firstOf(inErr, outErr, os.Mkdir(share, 0o755), cmd.Start()); err != nil {
				b.Fatal(err)
			}
			client, err := sftp.NewClientPipe(out, in, sftp.UseConcurrentWrites(true))
			if err != nil {
				b.Fatal(err)
			}
			run(b, client, share)
			client.Close()
			_ = cmd.Wait()
			b.ReportMetric(float64(cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())/float64(b.N), "server-ns/op") // what else the machine does is not in it
		})
	}
}

// firstOf is the first error of several.
func firstOf(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}
