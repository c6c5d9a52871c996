#include "parallel/verify/difference.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "core/base/check.h"

namespace trireme::verify {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double magnitude(double value) {
  return std::isnan(value) ? kInfinity : std::abs(value);
}

double largest(const std::vector<double>& values) {
  double result = 0;
  for (const double value : values) result = std::max(result, magnitude(value));
  return result;
}

double relative(double value, double reference) {
  return value == reference ? 0 : magnitude((value - reference) / reference);
}

bool is_noise(const Trace& trace, size_t tensor) {
  return trace.precision != Precision::kFp64 && trace.names[tensor].ends_with("attention.key.bias");
}

/// Of each tensor of a trace: `tensors` and `references` are its gradients or weights.
std::vector<double> errors(const Trace& trace, const WholeTensors::Values& tensors,
                           const WholeTensors::Values& references) {
  double scale = 0;
  for (const std::vector<double>& reference : references) scale = std::max(scale, largest(reference));
  std::vector<double> result(references.size(), 0);
  for (size_t i = 0; i < references.size(); ++i) {
    if (is_noise(trace, i)) continue;
    std::vector<double> difference(references[i].size());
    for (size_t k = 0; k < difference.size(); ++k)
      if (tensors[i][k] != references[i][k]) difference[k] = tensors[i][k] - references[i][k];
    const double distance = largest(difference);
    if (distance > 0) result[i] = distance / std::max(largest(references[i]), 1e-3 * scale);
  }
  return result;
}

const Difference::OfTensor& worst(const Difference& difference, double Difference::OfTensor::*error) {
  return *std::max_element(difference.tensors.begin(), difference.tensors.end(),
                           [&](const auto& a, const auto& b) { return a.*error < b.*error; });
}

}  // namespace

const Difference::OfTensor& Difference::worst_gradient() const {
  return worst(*this, &OfTensor::gradient);
}

const Difference::OfTensor& Difference::worst_weight() const {
  return worst(*this, &OfTensor::weight);
}

Difference compare(const Trace& trace, const Trace& reference, int64_t num_steps) {
  TRIREME_ASSERT(trace.names == reference.names && trace.steps.size() == reference.steps.size(),
                 "the traces are of different runs");
  const size_t last = num_steps > 0 ? static_cast<size_t>(num_steps) : trace.steps.size();
  Difference result;
  result.problems = trace.problems;
  for (const std::string& name : trace.names) result.tensors.push_back({.name = name});
  for (size_t s = 0; s < last; ++s) {
    const StepTrace &a = trace.steps[s], &b = reference.steps[s];
    result.loss = std::max(result.loss, relative(a.loss, b.loss));
    result.grad_norm = std::max(result.grad_norm, relative(a.grad_norm, b.grad_norm));
    result.same_steps_skipped = result.same_steps_skipped && a.skipped == b.skipped;
    const std::vector<double> gradient = errors(trace, a.gradients, b.gradients);
    for (size_t i = 0; i < gradient.size(); ++i) {
      Difference::OfTensor& tensor = result.tensors[i];
      if (gradient[i] > tensor.gradient) {
        tensor.gradient = gradient[i];
        tensor.step = static_cast<int64_t>(s) + 1;
      }
    }
  }
  if (last == trace.steps.size()) {
    const std::vector<double> weight = errors(trace, trace.weights, reference.weights);
    const std::vector<double> value = errors(trace, trace.values, reference.values);
    for (size_t i = 0; i < value.size(); ++i)
      result.tensors[i].weight = i < weight.size() ? std::max(weight[i], value[i]) : value[i];
  }
  return result;
}

std::vector<std::string> disagreements(const Difference& difference, const Bounds& bounds) {
  std::vector<std::string> found;
  const auto check = [&](double error, double bound, const std::string& what) {
    if (!(error <= bound)) found.push_back(fmt::format("{}: error {:.1e}, bound {:.0e}", what, error, bound));
  };
  const auto check_tensors = [&](double Difference::OfTensor::*error, double bound, const char* what) {
    const auto wrong = [&](const Difference::OfTensor& tensor) { return !(tensor.*error <= bound); };
    const auto first = std::find_if(difference.tensors.rbegin(), difference.tensors.rend(), wrong);
    if (first == difference.tensors.rend()) return;
    const auto count = std::count_if(difference.tensors.begin(), difference.tensors.end(), wrong);
    const Difference::OfTensor& most = worst(difference, error);
    found.push_back(fmt::format(
        "{} of {} of {} tensors, first (from the loss back) {}: error {:.1e}, bound "
        "{:.0e}; the largest is {:.1e} of {}",
        what, count, difference.tensors.size(), first->name, (*first).*error, bound, most.*error, most.name));
  };
  found.insert(found.end(), difference.problems.begin(), difference.problems.end());
  check_tensors(&Difference::OfTensor::gradient, bounds.gradient, "gradient");
  check(difference.grad_norm, bounds.grad_norm, "gradient norm");
  check(difference.loss, bounds.loss, "loss");
  if (!difference.same_steps_skipped) found.push_back("not the same steps were skipped");
  check_tensors(&Difference::OfTensor::weight, bounds.weight, "weight after the last step");
  return found;
}

}  // namespace trireme::verify
