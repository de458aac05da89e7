package testbed

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

const (
	// stopGrace is how long a server may take to end by itself before it is killed.
	stopGrace = 5 * time.Second

	// pausePoll is the step in which Pause looks whether the process has stopped.
	pausePoll = time.Millisecond
	pauseWait = 5 * time.Second
)

// process is one run of a server program. It is started and waited for by a goroutine of its own.
// All methods may be called at any time and from any goroutine.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once the program has ended and was waited for
	err  error         // how it ended; read after done
}

// startProcess runs the program with its output appended to logFile.
func startProcess(program string, args []string, logFile string) (*process, error) {
	return startProcessAs(nil, program, args, logFile)
}

// startProcessAs is startProcess under another user; nil is this one.
func startProcessAs(user *syscall.Credential, program string, args []string, logFile string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = diesWithParent()
	if user != nil {
		cmd.SysProcAttr = as(user, cmd.SysProcAttr)
	}

	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// Linux ends the child when the thread that started it ends, so the goroutine keeps its
		// thread until the child is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		defer log.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		<-p.done
		return nil, err
	}
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// running reports whether the program has not ended yet; a paused one runs.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// kill ends the program at once (SIGKILL) and returns when it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails only when it has ended already
	<-p.done
}

// stop asks the program to end (SIGTERM), kills it when it does not, and returns when it is gone.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Process.Signal(syscall.SIGCONT) // a paused program takes the SIGTERM only then
	select {
	case <-p.done:
	case <-time.After(stopGrace):
		p.kill()
	}
}

// pause freezes the program (SIGSTOP) and returns when it has stopped, so that whatever is sent
// to it afterwards is not answered before resume.
func (p *process) pause() error {
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("pause: %w", err)
	}
	for end := time.Now().Add(pauseWait); time.Now().Before(end); time.Sleep(pausePoll) {
		if paused(p.pid()) {
			return nil
		}
	}
	return errors.New("pause: the process did not stop")
}

// resume lets a paused program go on (SIGCONT).
func (p *process) resume() error {
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	return nil
}
