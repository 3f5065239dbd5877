package guests

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// loginLimit bounds one try. A guest that is still booting may take the connection and then say nothing.
const loginLimit = 3 * time.Second

// AwaitLogin returns when the guest takes a login by ssh and runs a command. On the deadline the error is the last reason.
func (l *Lab) AwaitLogin(ctx context.Context, m Member, limit time.Duration) error {
	config, err := l.clientConfig(m)
	if err != nil {
		return fmt.Errorf("%s: %w", m.Name, err)
	}
	err = until(ctx, limit, func() error {
		var conn net.Conn
		err := l.insideNetns(hierarchies{}, nil, func() (err error) {
			conn, err = net.DialTimeout("tcp", net.JoinHostPort(m.Address, "22"), time.Second)
			return err
		})
		if err != nil {
			return err
		}
		defer conn.Close()
		return login(conn, config)
	})
	if err != nil {
		return fmt.Errorf("%s: no login: %w (see %s)", m.Name, err, l.ConsolePath(m))
	}
	return nil
}

// AwaitLogins waits for several guests at the same time. Those that are frozen or cut off are not waited for.
func (l *Lab) AwaitLogins(ctx context.Context, members []Member, limit time.Duration) error {
	cuts, err := l.Cuts()
	if err != nil {
		return err
	}
	var group sync.WaitGroup
	problems := make([]error, len(members))
	for i, m := range members {
		if l.isFrozen(m) || isolated(cuts, m.Name) {
			l.Log.Warn().Str("guest", m.Name).Msg("frozen or cut off, so not waited for")
			continue
		}
		group.Go(func() {
			problems[i] = l.AwaitLogin(ctx, m, limit)
			if problems[i] == nil {
				l.Log.Info().Str("guest", m.Name).Str("address", m.Address).Msg("answers")
			}
		})
	}
	group.Wait()
	return errors.Join(problems...)
}

func login(conn net.Conn, config *ssh.ClientConfig) error {
	if err := conn.SetDeadline(time.Now().Add(loginLimit)); err != nil {
		return err
	}
	secure, channels, requests, err := ssh.NewClientConn(conn, conn.RemoteAddr().String(), config)
	if err != nil {
		return err
	}
	client := ssh.NewClient(secure, channels, requests)
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	return session.Run("true")
}

// clientConfig knows the guest's key, as the lab made it.
func (l *Lab) clientConfig(m Member) (*ssh.ClientConfig, error) {
	text, err := os.ReadFile(l.KeyPath())
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.KeyPath(), err)
	}
	if text, err = os.ReadFile(filepath.Join(l.upper(m), hostPublicKey)); err != nil {
		return nil, err
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil, fmt.Errorf("host key of %s: %w", m.Name, err)
	}
	return &ssh.ClientConfig{
		User:            "root",
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.FixedHostKey(public),
	}, nil
}
