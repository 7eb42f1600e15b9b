// AMX on processors without it: the instructions trap, and a SIGILL handler does what they would have done. So the code
// that the compiler made of isa_amx.cpp runs as it is, instruction by instruction. Eight tiles per thread.
#pragma once

namespace amx_emulator {

// From now on, for the whole process. What is no AMX instruction still ends the process.
void install();

// How many tile products were emulated, to show that the code under test ran here.
long products();

}  // namespace amx_emulator
