// Signals: the first INT, TERM or HUP asks for a stop after the current step, the second ends the process at once.
#pragma once

namespace florence2 {

/// Also ignores SIGPIPE and SIGXFSZ, so that writes report them.
void catch_interrupts();
/// The signal that asked for a stop, or 0.
int interrupt_signal();

}  // namespace florence2
