// Package confine lets a program see one directory, under its own name, and of the rest of this machine nothing but itself and its libraries, which it cannot change.
//
// It promises that no path the program is given, by whatever option, link or mount, leads to another file: there is none in its mount namespace. Mounts below the directory
// are not there either. It does not keep the program from what root may do without a path. Needs CAP_SYS_ADMIN, and a unit whose RestrictNamespaces allows mnt.
package confine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// libraries are where the dynamic linker looks. What is a link on this machine is one there.
var libraries = []string{"/usr/lib", "/usr/lib32", "/usr/lib64", "/lib", "/lib32", "/lib64"}

// Exec becomes a program that sees a directory only. scratch is an empty directory, which stays so for everybody else. Exec returns only with an error, and then the thread that called it
// must do nothing any more.
func Exec(scratch, directory, program string, arguments, environment []string) error {
	runtime.LockOSThread() // the namespace is this thread's until it has become the program
	if err := enter(scratch, directory, program); err != nil {
		return fmt.Errorf("confine %s to %s: %w", filepath.Base(program), directory, err)
	}
	return unix.Exec(program, arguments, environment)
}

func enter(scratch, directory, program string) error {
	steps := []func() error{
		func() error { return named("unshare", unix.Unshare(unix.CLONE_NEWNS)) },
		// Nothing that is mounted from here on is seen outside.
		func() error {
			return named("make mounts private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		},
		func() error {
			return named("mount "+scratch, unix.Mount("hafs", scratch, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755,size=64k"))
		},
		func() error { return furnish(scratch, program) },
		func() error { return show(scratch, directory, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC) },
		func() error { return named("change to "+scratch, unix.Chdir(scratch)) },
		func() error { return named("change root", unix.PivotRoot(".", ".")) },
		func() error { return named("leave the old root", unix.Unmount(".", unix.MNT_DETACH)) },
		func() error { return named("change to the root", unix.Chdir("/")) },
		func() error {
			return named("close the root", unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, ""))
		},
		func() error { return named("no new privileges", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// furnish puts what a program needs to start into the new root.
func furnish(root, program string) error {
	for _, library := range libraries {
		target, err := os.Readlink(library)
		switch {
		case errors.Is(err, os.ErrNotExist):
			continue
		case err == nil:
			err = os.Symlink(target, root+library)
		default:
			err = show(root, library, unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV)
		}
		if err != nil {
			return err
		}
	}
	if err := errors.Join(os.MkdirAll(root+filepath.Dir(program), 0o755), os.WriteFile(root+program, nil, 0o755)); err != nil {
		return err
	}
	return bind(program, root+program, unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV)
}

// show binds a directory to its own name in the new root, without what is mounted below it.
func show(root, directory string, flags uintptr) error {
	if err := os.MkdirAll(root+directory, 0o755); err != nil {
		return err
	}
	return bind(directory, root+directory, flags)
}

func bind(what, where string, flags uintptr) error {
	if err := unix.Mount(what, where, "", unix.MS_BIND, ""); err != nil {
		return named("bind "+what, err)
	}
	return named("bind "+what, unix.Mount("", where, "", unix.MS_REMOUNT|unix.MS_BIND|flags, "")) // flags of a bind count only from its second mount on
}

func named(step string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", step, err)
}
