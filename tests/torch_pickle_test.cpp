// Hostile pickles: every one is refused with a line that says why, and nothing in it ever runs.
#include "weights/torch_pickle.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/torch_writer.hpp"

namespace florence2 {
namespace {

using namespace test;
using Catch::Matchers::Contains;
using std::string_literals::operator""s;

Result<std::vector<TorchTensor>> read(const std::string& pickle) {
  return read_torch_pickle(std::as_bytes(std::span(pickle)));
}

void check_refused(const std::string& pickle, const std::string& message) {
  const auto tensors = read(pickle);
  INFO(pickle.substr(0, 200));
  REQUIRE_FALSE(tensors);
  CHECK(tensors.error().code == ErrorCode::model);
  CHECK_THAT(tensors.error().message, Contains(message));
  CHECK(tensors.error().message.find('\n') == std::string::npos);
  CHECK(tensors.error().message.size() < 400);
}

std::string shape_of(std::initializer_list<std::int64_t> sizes) {
  std::string items;
  for (const std::int64_t size : sizes) items += p_long(size);
  return p_tuple(items);
}

std::string valid() {
  return p_dict(p_text("w") + p_tensor(p_storage("FloatStorage", "0", 6), 0, shape_of({2, 3}), shape_of({3, 1})));
}

TEST_CASE("a dictionary of tensors is read", "[weights]") {
  const auto tensors = read(valid());
  INFO((tensors ? "" : tensors.error().text()));
  REQUIRE(tensors);
  REQUIRE(tensors->size() == 1);
  const TorchTensor& w = (*tensors)[0];
  CHECK(w.name == "w");
  CHECK(w.dtype == "F32");
  CHECK(w.storage == "0");
  CHECK(w.storage_size == 6);
  CHECK(w.elements == 6);
  CHECK(w.shape == std::vector<std::int64_t>{2, 3});
  CHECK(w.strides == std::vector<std::int64_t>{3, 1});
}

/// What known attacks call, directly or as a link of a chain.
const std::pair<const char*, const char*> kGadgets[] = {
    {"os", "system"},
    {"posix", "system"},
    {"nt", "system"},
    {"os", "popen"},
    {"os", "execvp"},
    {"os", "remove"},
    {"subprocess", "Popen"},
    {"subprocess", "run"},
    {"subprocess", "check_output"},
    {"subprocess", "getoutput"},
    {"commands", "getoutput"},
    {"builtins", "eval"},
    {"builtins", "exec"},
    {"builtins", "compile"},
    {"builtins", "open"},
    {"builtins", "getattr"},
    {"builtins", "setattr"},
    {"builtins", "__import__"},
    {"builtins", "breakpoint"},
    {"builtins", "map"},
    {"builtins", "dict"},
    {"__builtin__", "eval"},
    {"__builtin__", "apply"},
    {"__main__", "payload"},
    {"importlib", "import_module"},
    {"importlib.machinery", "SourceFileLoader"},
    {"runpy", "run_path"},
    {"runpy", "_run_code"},
    {"pip", "main"},
    {"ensurepip", "_run_pip"},
    {"webbrowser", "open"},
    {"socket", "socket"},
    {"pty", "spawn"},
    {"code", "InteractiveInterpreter"},
    {"pdb", "run"},
    {"bdb", "Bdb.run"},
    {"timeit", "timeit"},
    {"trace", "Trace.run"},
    {"cProfile", "run"},
    {"profile", "Profile.runctx"},
    {"doctest", "debug_script"},
    {"pydoc", "pipepager"},
    {"pickle", "loads"},
    {"_pickle", "Unpickler"},
    {"marshal", "loads"},
    {"shelve", "open"},
    {"types", "CodeType"},
    {"types", "FunctionType"},
    {"operator", "attrgetter"},
    {"operator", "methodcaller"},
    {"functools", "partial"},
    {"functools", "reduce"},
    {"itertools", "starmap"},
    {"shutil", "rmtree"},
    {"sys", "exit"},
    {"sys", "modules"},
    {"signal", "raise_signal"},
    {"ctypes", "CDLL"},
    {"asyncio", "create_subprocess_shell"},
    {"multiprocessing.util", "spawnv_passfds"},
    {"http.client", "HTTPSConnection"},
    {"urllib.request", "urlopen"},
    {"requests.api", "get"},
    {"smtplib", "SMTP"},
    {"idlelib.pyshell", "ModifiedInterpreter.runcommand"},
    {"lib2to3.pgen2.grammar", "Grammar.loadGrammar"},
    {"logging.config", "_resolve"},
    {"numpy", "load"},
    {"numpy.core.multiarray", "_reconstruct"},
    {"numpy.testing._private.utils", "runstring"},
    {"torch", "load"},
    {"torch.hub", "load"},
    {"torch.jit", "load"},
    {"torch.serialization", "load"},
    {"torch.storage", "_load_from_bytes"},
    {"torch._utils", "_rebuild_tensor"},
    {"torch._dynamo.guards", "GuardBuilder.get"},
    {"torch.utils.collect_env", "run"},
    {"torch.fx.experimental.symbolic_shapes", "ShapeEnv.evaluate_guards_expression"},
    {"torch.ao.quantization.utils", "eval"},
    {"collections", "OrderedDict.update"},
    {"collections", "namedtuple"},
    {"copyreg", "_reconstructor"},
    {"joblib.memory", "eval"},
    {"dill._dill", "_create_code"},
    {"cloudpickle.cloudpickle", "_make_function"},
    {"", ""},
};

TEST_CASE("globals outside the list are named and not called", "[weights]") {
  int refused = 0;
  for (const auto& [module, name] : kGadgets) {
    const std::string named = "nothing is executed (found a call to "s + module + "." + name + ")";
    for (const std::string& global : {p_global(module, name), p_stack_global(module, name)}) {
      check_refused("\x80\x04" + p_call(global, p_text("touch /tmp/pwned")) + ".", named);
      check_refused(p_dict(p_text("w") + p_call(global, p_text("id"))), named);
      check_refused(p_dict(p_text("w") + global), named);
      refused += 3;
    }
  }
  CHECK(refused > 400);
}

struct BadPickle {
  std::string pickle;
  std::string message;
};

TEST_CASE("opcodes that tensors do not need are refused", "[weights]") {
  check_refused("cos\nsystem\n(S'id'\ntR.", "found a call to os.system");
  const std::string opcodes = "ioFGSVTULIdlp0123gPB8C\x81\x82\x83\x84\x8b\x8e\x8f\x90\x91\x92\x96\x97\x98\xff\x01";
  for (const char opcode : opcodes) {
    if (opcode == 'G') continue;  // a float, which is read and forgotten
    const std::string pickle = "\x80\x02(" + p_text("os") + opcode + "os\nsystem\n.";
    check_refused(pickle, ", which tensors do not need, at byte 10");
  }
}

TEST_CASE("pickles that do not hang together are refused", "[weights]") {
  const std::string dict_class = p_global("collections", "OrderedDict");
  const std::string storage = p_storage("FloatStorage", "0", 6);
  check_refused("", "ends early at byte 0");
  const auto bad = GENERATE_COPY(values<BadPickle>({
      {".", "ends with 0 values, expected one at byte 1"},
      {"NN.", "ends with 2 values"},
      {"(N.", "ends with 1 values"},
      {"N.", "the file holds none, expected a dictionary of tensors"},
      {"\x80\x02]."s, "the file holds a list, expected a dictionary"},
      {valid().substr(0, 2) + "(" + valid().substr(2) + "t.", "ends with"},
      {"\x80\x06}.", "protocol 6, newest known 5"},
      {"}K\x01K\x02u.", "no mark"},
      {"}(K\x01u.", "a key without a value"},
      {"}(K\x01K\x02s.", "too few values"},
      {"(K\x01s.", "too few values"},
      {"]K\x01K\x02s.", "found a list, expected a dictionary"},
      {"}K\x01"
       "a.",
       "found a dictionary, expected a list"},
      {"t.", "no mark"},
      {"\x85.", "too few values"},
      {"K\x01\x86.", "too few values"},
      {"K\x01(\x85.", "too few values"},
      {"h\x07.", "nothing was kept as 7"},
      {"j\xff\xff\xff\xff.", "nothing was kept as 4294967295"},
      {"q\x01.", "too few values"},
      {"\x94.", "too few values"},
      {"NR.", "too few values"},
      {"N)R.", "a call of none with a tuple"},
      {")K\x01R.", "a call of a tuple with a whole number"},
      {dict_class + "K\x01R.", "a call of a global with a whole number"},
      {p_text("x") + ")R.", "a call of a text with a tuple"},
      {"NN\x93.", "a global without a name"},
      {"cos\nsystem", "ends early"},
      {"cos", "ends early"},
      {"NQ.", "an external reference that is no storage"},
      {"X\xff\xff\xff\xff"
       "abc.",
       "ends early"},
      {"\x8d" + little_endian(std::uint64_t{1} << 63, 8) + "abc.", "ends early"},
      {"\x8d" + little_endian(~std::uint64_t{0}, 8) + "abc.", "ends early"},
      {"\x8a\xff" + std::string(255, '\x7f') + ".", "a number of 255 bytes"},
      {"\x95" + little_endian(7, 4), "ends early"},
      {"Nb.", "too few values"},
      {"}N", "ends early"},
      {"]Nb.", "found a list, expected a dictionary"},
      {p_call(dict_class, "]") + ".", "unexpected arguments of collections.OrderedDict"},
      {p_call(p_global("torch", "FloatStorage"), p_long(1'000'000'000)) + ".",
       "unexpected arguments of torch.FloatStorage"},
      {p_call(p_global("torch", "Size"), "N") + ".", "unexpected arguments of torch.Size"},
      {p_call(p_global("torch._utils", "_rebuild_parameter"), "N") + ".",
       "unexpected arguments of torch._utils._rebuild_parameter"},
      {p_call(p_global("torch._utils", "_rebuild_parameter"), storage) + ".", "unexpected arguments"},
      {p_call(p_global("torch._utils", "_rebuild_tensor_v2"), "") + ".", "a tensor of 0 arguments"},
      {p_tensor("N", 0, shape_of({1}), shape_of({1})) + ".", "a tensor without a storage"},
      {p_dict(p_text("w") + "N"), "entry \"w\" is none, expected a tensor"},
      {p_dict(p_text("w") + storage), "entry \"w\" is an object, expected a tensor"},
      {p_dict(p_text("state_dict") + "}"), "entry \"state_dict\" is a dictionary, expected a tensor"},
      {p_dict("K\x01N"), "a key is a whole number, expected a text"},
      {p_dict(p_text(std::string(513, 'n')) + "N"), "has a name of more than 512 bytes"},
      {"}(" + valid().substr(4, valid().size() - 6) + valid().substr(4, valid().size() - 6) + "u.",
       "tensor \"w\" is listed twice"},
  }));
  check_refused(bad.pickle, bad.message);
}

TEST_CASE("tensors that reach outside their storage are refused", "[weights]") {
  constexpr std::int64_t kHuge = std::int64_t{1} << 62;
  struct Reach {
    std::int64_t storage, first;
    std::string shape, strides;
    std::string message;
  };
  const auto reach = GENERATE_COPY(values<Reach>({
      {6, 0, shape_of({7}), shape_of({1}), "a tensor of 7 elements up to number 6 does not fit its storage of 6"},
      {6, 1, shape_of({2, 3}), shape_of({3, 1}), "does not fit its storage of 6"},
      {6, -1, shape_of({2}), shape_of({1}), "does not fit its storage"},
      {6, 0, shape_of({2, 3}), shape_of({4, 1}), "up to number 6"},
      {6, 0, shape_of({1000, 1000}), shape_of({0, 0}), "a tensor of 1000000 elements"},
      {6, 0, shape_of({kHuge, 4}), shape_of({1, 1}), "overflows 64 bits"},
      {6, 0, shape_of({4, 4}), shape_of({kHuge, 1}), "overflows 64 bits"},
      {6, kHuge - 1 + kHuge, shape_of({4}), shape_of({1}), "overflows 64 bits"},
      {6, 0, shape_of({-1}), shape_of({1}), "a shape or stride is no whole number"},
      {6, 0, shape_of({1}), shape_of({-1}), "a shape or stride is no whole number"},
      {6, 0, shape_of({1, 1, 1, 1, 1, 1, 1, 1, 1}), shape_of({1}), "a tuple of at most 8 numbers"},
      {6, 0, shape_of({1}), shape_of({1, 1}), "shape and strides differ in length"},
      {6, 0, "]", shape_of({1}), "a tuple of at most 8 numbers"},
      {6, 0, p_tuple("N"), shape_of({1}), "no whole number"},
      {-6, 0, shape_of({1}), shape_of({1}), "an external reference that is no storage"},
  }));
  const std::string storage = p_storage("FloatStorage", "0", reach.storage);
  check_refused(p_dict(p_text("w") + p_tensor(storage, reach.first, reach.shape, reach.strides)), reach.message);
}

TEST_CASE("storages of other kinds are refused", "[weights]") {
  const auto id = [](const std::string& kind, const std::string& type, const std::string& elements) {
    return p_tuple(p_text(kind) + type + p_text("0") + p_text("cpu") + elements) + "Q.";
  };
  const std::string message = "an external reference that is no storage";
  check_refused(id("module", p_global("torch", "FloatStorage"), p_int(1)), message);
  check_refused(id("storage", p_global("collections", "OrderedDict"), p_int(1)), message);
  check_refused(id("storage", p_text("FloatStorage"), p_int(1)), message);
  check_refused(id("storage", p_global("torch", "FloatStorage"), p_text("1")), message);
  check_refused(id("storage", p_global("torch", "QInt8Storage"), p_int(1)), "found a call to torch.QInt8Storage");
}

TEST_CASE("a pickle cut anywhere is refused", "[weights]") {
  const std::string whole = valid();
  for (std::size_t size = 0; size < whole.size(); ++size) check_refused(whole.substr(0, size), "ends early");
}

TEST_CASE("depth and size are bounded", "[weights]") {
  const std::string deep = ")" + std::string(900'000, '\x85');
  check_refused(deep + ".", "the file holds a tuple");
  check_refused(")" + std::string(1'100'000, '\x85') + ".", "more than 1000000 values");
  check_refused(std::string(1'100'000, 'N') + ".", "more than 1000000 values");
  check_refused("N" + std::string(1'100'000, '\x94') + ".", "more than 1000000 values kept");
  check_refused(std::string(1'100'000, '(') + ".", "ends with 0 values");
  // A list that holds itself, and one that holds the last one twice, sixty times over.
  check_refused(
      "]q\x01h\x01"
      "a.",
      "the file holds a list");
  std::string laughs = "]\x94";
  for (char i = 0; i < 60; ++i) laughs += "]\x94(h"s + i + "h" + i + "e";
  check_refused(laughs + ".", "values, expected one");
  // One long tuple, copied again and again?
  const std::string tuple = p_tuple(std::string(100'000, 'N')) +
                            "q\x01"
                            "0";
  check_refused("\x80\x02" + tuple, "opcode 0x30");
  check_refused(p_call(p_global("torch", "Size"), p_tuple(std::string(100'000, 'N'))) + ".",
                "unexpected arguments of torch.Size");
  std::string many;
  for (int i = 0; i < 70'000; ++i) many += p_tuple(p_text("storage") + "h\x01h\x02h\x02K\x01") + "Q";
  check_refused(p_global("torch", "FloatStorage") + "q\x01" + p_text("0") + "q\x02" + many + many + ".",
                "more than 65,536 tensors");
}

}  // namespace
}  // namespace florence2
