// A framescope emitter on the stock OpenTelemetry C++ SDK; docs/wire.md says what every name means.
// It blurs an image 50 times a second against a budget of 8 ms; every 40th frame has far more to do.
// OTEL_SERVICE_NAME=camera OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 ./emitter [seconds]
#include <time.h>

#include <cmath>
#include <cstdlib>
#include <random>
#include <thread>

#include "opentelemetry/exporters/otlp/otlp_http_exporter_factory.h"
#include "opentelemetry/exporters/otlp/otlp_http_metric_exporter_factory.h"
#include "opentelemetry/sdk/metrics/aggregation/aggregation_config.h"
#include "opentelemetry/sdk/metrics/export/periodic_exporting_metric_reader_factory.h"
#include "opentelemetry/sdk/metrics/export/periodic_exporting_metric_reader_options.h"
#include "opentelemetry/sdk/metrics/meter_provider.h"
#include "opentelemetry/sdk/metrics/view/instrument_selector_factory.h"
#include "opentelemetry/sdk/metrics/view/meter_selector_factory.h"
#include "opentelemetry/sdk/metrics/view/view_factory.h"
#include "opentelemetry/sdk/trace/batch_span_processor_factory.h"
#include "opentelemetry/sdk/trace/batch_span_processor_options.h"
#include "opentelemetry/sdk/trace/tracer_provider.h"

namespace otel = opentelemetry;
namespace sdk = opentelemetry::sdk;
namespace otlp = opentelemetry::exporter::otlp;
using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

constexpr std::chrono::milliseconds kBudget(8), kPeriod(20);
constexpr int kBaselineEvery = 10;  // one on-time frame in so many is kept whole
const std::string kPipeline = "blur";

double seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }

double cpu_now() {  // s of CPU time of this thread: evidence of where a slow frame's time went
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

std::string fresh_uuid() {  // two processes must never share service.instance.id
  std::random_device random;
  std::string id = "xxxxxxxx-xxxx-4xxx-9xxx-xxxxxxxxxxxx";
  for (char &c : id) c = c == 'x' ? "0123456789abcdef"[random() % 16] : c;
  return id;
}

struct Stage { std::string name; Time start, end; double cpu; };
struct Frame {
  int64_t id;
  Time start, end;
  std::vector<Stage> stages;
  bool slow() const { return end - start > kBudget; }
};

using Attributes = std::initializer_list<std::pair<otel::nostd::string_view, otel::common::AttributeValue>>;

auto start_span(otel::trace::Tracer &tracer, const std::string &name, Time start, Attributes told,
                otel::trace::SpanContext parent = otel::trace::SpanContext::GetInvalid()) {
  otel::trace::StartSpanOptions at;
  at.start_steady_time = otel::common::SteadyTimestamp(start);
  at.start_system_time = std::chrono::system_clock::now() - (Clock::now() - start);
  at.parent = parent;
  return tracer.StartSpan(name, told, at);
}

// Spans are made after the frame, from its clock readings: the frame itself pays for the readings only.
void send_frame(otel::trace::Tracer &tracer, const Frame &frame) {
  const bool slow = frame.slow();
  auto root = start_span(tracer, "frame", frame.start, {
      {"frame.pipeline", kPipeline}, {"frame.id", frame.id},
      {"frame.budget.limit", seconds(kBudget)}, {"frame.period", seconds(kPeriod)},
      {"frame.outcome", slow ? "slow" : "on_time"}, {"frame.slow", slow},
      {"frame.kept", slow ? "slow" : "baseline"}, {"frame.sampling.weight", slow ? 1 : kBaselineEvery}});
  for (const Stage &stage : frame.stages) {
    Attributes told = {{"frame.stage.name", stage.name}, {"frame.stage.kind", "cpu"},
                       {"frame.cpu.time", stage.cpu}};
    auto child = start_span(tracer, stage.name, stage.start, told, root->GetContext());
    child->End({otel::common::SteadyTimestamp(stage.end)});
  }
  root->End({otel::common::SteadyTimestamp(frame.end)});
}

// One small span a second tells every frame's latency, kept or not: the strip and exact percentiles.
void send_record(otel::trace::Tracer &tracer, const std::vector<Frame> &frames) {
  std::vector<int64_t> offsets, latencies;
  std::string outcomes;
  for (const Frame &frame : frames) {
    offsets.push_back((frame.start - frames.front().start) / std::chrono::microseconds(1));
    latencies.push_back((frame.end - frame.start) / std::chrono::microseconds(1));
    outcomes += frame.slow() ? 's' : 'o';
  }
  using Integers = otel::nostd::span<const int64_t>;
  auto span = start_span(tracer, "frames", frames.front().start, {
      {"frame.pipeline", kPipeline}, {"frame.budget.limit", seconds(kBudget)},
      {"frame.batch.first_id", frames.front().id}, {"frame.batch.outcomes", outcomes},
      {"frame.batch.offsets_us", Integers(offsets)}, {"frame.batch.latencies_us", Integers(latencies)}});
  span->End({otel::common::SteadyTimestamp(frames.back().end)});
}

int main(int argc, char **argv) {
  setenv("OTEL_METRIC_EXPORT_INTERVAL", "1000", 0);  // ms; the SDK's 60 s would leave Live silent
  setenv("OTEL_METRIC_EXPORT_TIMEOUT", "900", 0);
  setenv("OTEL_BSP_SCHEDULE_DELAY", "1000", 0);
  auto resource = sdk::resource::Resource::Create({{"service.instance.id", fresh_uuid()}});
  sdk::trace::TracerProvider traces(
      sdk::trace::BatchSpanProcessorFactory::Create(otlp::OtlpHttpExporterFactory::Create(), {}), resource);
  auto tracer = traces.GetTracer(kPipeline);
  auto grid = std::make_shared<sdk::metrics::HistogramAggregationConfig>();
  for (int step = 0; step <= 39; ++step)  // the one grid: three bounds an octave, 0.25 ms to 2.048 s
    grid->boundaries_.push_back(std::round(0.00025 * std::pow(2, step / 3.0) * 1e9) / 1e9);
  sdk::metrics::MeterProvider metrics(std::make_unique<sdk::metrics::ViewRegistry>(), resource);
  metrics.AddView(
      sdk::metrics::InstrumentSelectorFactory::Create(sdk::metrics::InstrumentType::kHistogram, "*", "s"),
      sdk::metrics::MeterSelectorFactory::Create(kPipeline, "", ""),
      sdk::metrics::ViewFactory::Create("", "", sdk::metrics::AggregationType::kHistogram, grid));
  metrics.AddMetricReader(sdk::metrics::PeriodicExportingMetricReaderFactory::Create(
      otlp::OtlpHttpMetricExporterFactory::Create(), {}));
  auto meter = metrics.GetMeter(kPipeline);
  auto latency = meter->CreateDoubleHistogram("frame.latency", "due time to end of a finished frame", "s");
  auto count = meter->CreateUInt64Counter("frame.count", "frames by outcome", "{frame}");
  std::vector<float> image(512 * 512), other(image);
  std::vector<Frame> second;
  const Time began = Clock::now();
  for (int64_t id = 0; seconds(id * kPeriod) < (argc > 1 ? std::atof(argv[1]) : 10); ++id) {
    Frame frame{id, Clock::now(), {}, {}};
    auto stage = [&](const char *name, auto work) {
      const Time start = Clock::now();
      const double cpu = cpu_now();
      work();
      frame.stages.push_back({name, start, Clock::now(), cpu_now() - cpu});
    };
    stage("read", [&] { for (size_t i = 0; i < image.size(); ++i) image[i] = (i * 31 + id) % 251; });
    stage("blur", [&] {
      for (int pass = id % 40 == 39 ? 240 : 2; pass > 0; --pass, image.swap(other))
        for (size_t i = 1; i + 1 < image.size(); ++i) other[i] = (image[i - 1] + image[i] + image[i + 1]) / 3;
    });
    frame.end = Clock::now();
    latency->Record(seconds(frame.end - frame.start), {{"frame.pipeline", kPipeline}}, {});
    count->Add(1, {{"frame.pipeline", kPipeline}, {"frame.outcome", frame.slow() ? "slow" : "on_time"}});
    if (frame.slow() || id % kBaselineEvery == 0) send_frame(*tracer, frame);
    second.push_back(frame);
    if (second.size() == 50) send_record(*tracer, second), second.clear();
    std::this_thread::sleep_until(began + (id + 1) * kPeriod);
  }
  if (!second.empty()) send_record(*tracer, second);
  metrics.ForceFlush();
}
