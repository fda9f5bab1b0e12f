// How many threads to use when nobody says: one for each physical core that this process may use.
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>

#include "model/engine.hpp"

namespace florence2 {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// Physical cores in the affinity mask: logical CPUs with the same set of siblings are one core.
int allowed_cores() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof(mask), &mask) != 0) return 1;
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &mask)) continue;
    const std::string name = std::to_string(cpu);
    const std::string siblings = first_line("/sys/devices/system/cpu/cpu" + name + "/topology/thread_siblings_list");
    cores.insert(siblings.empty() ? name : siblings);
  }
  return std::max(1, static_cast<int>(cores.size()));
}

/// CPUs that a cpu.max file ("<quota> <period>" or "max <period>") allows; infinity without a limit.
double quota_of(const std::string& path) {
  std::ifstream file(path);
  double quota = 0, period = 0;
  if (!(file >> quota >> period) || quota <= 0 || period <= 0) return INFINITY;
  return quota / period;
}

/// The tightest CPU quota of this process's control group and those above it (version 2, else version 1's own group).
double cgroup_quota() {
  std::string group;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    if (line.rfind("0::", 0) == 0) group = line.substr(3);
  }
  double quota = INFINITY;
  while (true) {
    quota = std::min(quota, quota_of("/sys/fs/cgroup" + group + "/cpu.max"));
    if (group.empty()) break;
    group.erase(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
  }
  const std::string limit = first_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  const std::string period = first_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  const double microseconds = std::atof(limit.c_str());
  if (microseconds > 0 && std::atof(period.c_str()) > 0) {
    quota = std::min(quota, microseconds / std::atof(period.c_str()));
  }
  return quota;
}

}  // namespace

int default_threads() {
  const double cores = std::min<double>(allowed_cores(), std::floor(cgroup_quota()));
  return std::max(1, static_cast<int>(cores));
}

}  // namespace florence2
