// Decodes the VEX encodings of AMX-TILE and AMX-BF16 and does what Intel's manual says each of them does. Written from
// that description, independently of the kernels, which are compared with it. Start reading at execute.
#include "amx_emulator.h"

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>

#include <atomic>
#include <cmath>

namespace amx_emulator {
namespace {

struct Config {
  std::uint8_t palette, start_row, reserved[14];
  std::uint16_t bytes[16];
  std::uint8_t rows[16];
};
static_assert(sizeof(Config) == 64);

struct Tile {
  std::uint8_t row[16][64];
};
thread_local Config config;
thread_local Tile tiles[8];
std::atomic<long> count{0};

[[noreturn]] void refuse(const char* why, const std::uint8_t* at) {
  std::fprintf(stderr, "amx_emulator: %s at %p: %02x %02x %02x %02x %02x\n", why, static_cast<const void*>(at), at[0],
               at[1], at[2], at[3], at[4]);
  std::abort();
}

float flushed(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }

// A sum that is exact, or nearly, rounded to 24 bits; tiny results, as rounded, become zero.
float rounded(float sum, double exact) {
  const bool tiny = std::fabs(static_cast<float>(exact * 0x1p60)) < 0x1p-66f;
  return tiny ? std::copysign(0.0f, sum) : sum;
}
float multiply_add(float a, float b, float c) { return rounded(std::fma(a, b, c), static_cast<double>(a) * b + c); }
float add(float a, float b) { return rounded(a + b, static_cast<double>(a) + b); }

// Member `i` of the row's bfloat16 numbers.
float bfloat16_at(const std::uint8_t* row, int i) {
  std::uint16_t half;
  std::memcpy(&half, row + 2 * i, 2);
  const std::uint32_t bits = static_cast<std::uint32_t>(half) << 16;
  float x;
  std::memcpy(&x, &bits, 4);
  return flushed(x);
}

void dot_product(int c, int a, int b) {
  const int rows = config.rows[c], columns = config.bytes[c] / 4, pairs = config.bytes[a] / 4;
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) {
      float even = 0, odd = 0, old;
      for (int p = 0; p < pairs; ++p) {
        even = multiply_add(bfloat16_at(tiles[a].row[i], 2 * p), bfloat16_at(tiles[b].row[p], 2 * j), even);
        odd = multiply_add(bfloat16_at(tiles[a].row[i], 2 * p + 1), bfloat16_at(tiles[b].row[p], 2 * j + 1), odd);
      }
      std::memcpy(&old, tiles[c].row[i] + 4 * j, 4);
      const float sum = add(flushed(old), add(even, odd));
      std::memcpy(tiles[c].row[i] + 4 * j, &sum, 4);
    }
  ++count;
}

// The general registers in the order of their numbers in an encoding.
std::uint64_t read_register(const ucontext_t& u, int number) {
  static const int order[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  return static_cast<std::uint64_t>(u.uc_mcontext.gregs[order[number]]);
}

// One instruction: C4, three bits of register numbers and the map, W vvvv L pp, opcode, ModRM, SIB, displacement.
struct Decoded {
  int prefix, opcode, mod, reg, rm, vvvv;
  std::uint64_t address = 0, stride = 0;
  std::int64_t length = 5;

  Decoded(const std::uint8_t* at, const ucontext_t& u) {
    if (at[0] != 0xC4 || (at[1] & 31) != 2) refuse("not an instruction of AMX", at);
    prefix = at[2] & 3;
    vvvv = ~at[2] >> 3 & 15;
    opcode = at[3];
    mod = at[4] >> 6;
    reg = at[4] >> 3 & 7;
    rm = at[4] & 7;
    if (mod != 3) read_address(at, u);
  }

 private:
  static std::int64_t displacement(const std::uint8_t* at, int bytes) {
    if (bytes == 1) return static_cast<std::int8_t>(*at);
    std::int32_t d = 0;
    if (bytes == 4) std::memcpy(&d, at, 4);
    return d;
  }
  void read_address(const std::uint8_t* at, const ucontext_t& u) {
    const int high_index = ~at[1] >> 6 & 1, high_base = ~at[1] >> 5 & 1;
    int base = rm, bytes = mod == 1 ? 1 : mod == 2 ? 4 : 0;
    if (rm == 4) {
      const int sib = at[length++], index = (sib >> 3 & 7) | high_index << 3;
      base = sib & 7;
      if (index != 4) stride = read_register(u, index) << (sib >> 6);
    }
    const bool no_base = mod == 0 && base == 5;
    if (no_base) bytes = 4;
    address = static_cast<std::uint64_t>(displacement(at + length, bytes));
    length += bytes;
    if (!no_base) address += read_register(u, base | high_base << 3);
    else if (rm == 5) address += reinterpret_cast<std::uint64_t>(at) + static_cast<std::uint64_t>(length);
  }
};

void copy_config(const Decoded& d) {
  if (d.prefix == 1) {
    std::memcpy(reinterpret_cast<void*>(d.address), &config, sizeof config);
    return;
  }
  std::memcpy(&config, reinterpret_cast<const void*>(d.address), sizeof config);
  std::memset(tiles, 0, sizeof tiles);
}

void load_or_store(const Decoded& d) {
  const bool is_store = d.prefix == 2;
  if (!is_store) std::memset(&tiles[d.reg], 0, sizeof(Tile));
  for (int r = 0; r < config.rows[d.reg]; ++r) {
    auto* memory = reinterpret_cast<std::uint8_t*>(d.address + static_cast<std::uint64_t>(r) * d.stride);
    auto* row = tiles[d.reg].row[r];
    std::memcpy(is_store ? memory : row, is_store ? row : memory, config.bytes[d.reg]);
  }
}

// Prefixes: 0 none, 1 66, 2 F3, 3 F2.
void execute(const Decoded& d, const std::uint8_t* at) {
  const bool release = d.opcode == 0x49 && d.mod == 3 && d.prefix == 0 && d.reg == 0 && d.rm == 0;
  if (d.opcode == 0x49 && d.mod != 3 && d.prefix <= 1) return copy_config(d);
  if (release) return static_cast<void>(std::memset(&config, 0, sizeof config));
  if (config.palette != 1) refuse("tiles are not configured", at);
  if (d.opcode == 0x49 && d.mod == 3 && d.prefix == 3) return static_cast<void>(std::memset(&tiles[d.reg], 0, 1024));
  if (d.opcode == 0x4B && d.mod != 3 && d.prefix != 0) return load_or_store(d);
  if (d.opcode == 0x5C && d.mod == 3 && d.prefix == 2) return dot_product(d.reg, d.rm, d.vvvv);
  refuse("an instruction that is not emulated", at);
}

void on_illegal(int, siginfo_t*, void* context) {
  auto& u = *static_cast<ucontext_t*>(context);
  const auto* at = reinterpret_cast<const std::uint8_t*>(u.uc_mcontext.gregs[REG_RIP]);
  const Decoded d(at, u);
  execute(d, at);
  u.uc_mcontext.gregs[REG_RIP] += d.length;
}

}  // namespace

void install() {
  struct sigaction action = {};
  action.sa_sigaction = on_illegal;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGILL, &action, nullptr);
}

long products() { return count; }

}  // namespace amx_emulator
