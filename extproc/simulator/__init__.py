"""The vendor simulator: plays OpenAI, Anthropic and Gemini for the demo, the end-to-end tests and the benchmark.

    python -m extproc.simulator --port 9100 [--host 127.0.0.1] [--received FILE]
    async with Simulator(port=0) as sim: ...            # sim.port, sim.url, sim.received, sim.totals

One process plays several vendors: requests are routed by how their path *ends*, and the first segment of what stands
before is the vendor's name (`/a/v1/chat/completions` is vendor `a`; a version such as `v1` is no name).

| ends with | answers |
|---|---|
| `/chat/completions`, `/completions`, `/responses`, `/embeddings`, `/moderations`, `/images/generations`, `/images/edits`, `/audio/speech`, `/audio/transcriptions`, `/audio/translations`, `/rerank`, GET `/models`, `/videos` and GET or DELETE `/videos/{id}`, GET `/videos/{id}/content` | OpenAI |
| `/messages`, `/messages/count_tokens` | Anthropic |
| `/models/{model}:generateContent`, `:streamGenerateContent`, `:embedContent`, `:batchEmbedContents`, `:countTokens`, `:predict` | Gemini |
| GET `/_sim/received?vendor=a&since=N` | what was received, oldest first, those with `seq` above N; DELETE empties it |
| GET `/_sim/paused` | how many answers wait at their `pause_at`; POST `/_sim/resume` lets them go on |
| GET `/_sim/totals` | requests and token sums by model, over all answers that said their usage to the end |

Answers are the words `w0 w1 w2 …`, one per chunk, whatever was asked; output caps such as `max_tokens` are not
applied. How an answer goes is scripted by the request, in two places that are merged, the path winning over the prompt:

1. `[[sim {"chunks": 3, "usage": {"cached": 2}}]]` in the prompt: the last user text that has one, else the last other text
   (system, …). `{"only": {"a": {"status": 500}}}` holds for vendor `a` alone and wins over what stands beside it.
2. `/sim-status=429,retry_after=2,usage.cached=2/` as a segment of the path, before the endpoint.

| key | default | meaning |
|---|---|---|
| `chunks` | 5 | words in the answer; in a stream, text events |
| `delay_ms` | 0 | wait before each chunk (an answer in one piece is one chunk) |
| `first_delay_ms` | 0 | wait before the response headers |
| `header_then_delay_ms` | 0 | wait after the response headers |
| `status` | 200 | anything else: that status with the vendor's error body |
| `retry_after` | | seconds, sent as `retry-after` with an error |
| `reset_after` | | TCP reset after N chunks, 0: after the headers, -1: before them; half of an answer in one piece is sent |
| `close_after` | | the same with FIN, and the answer's end missing |
| `pause_at` | | wait there until told to go on: -1 before the headers, N after N chunks (of an answer in one piece: after its first half), more than there are: after all but the mark of the message's end, which an answer in one piece has not |
| `no_usage` | false | leave the usage out |
| `usage` | | `input` (words of the prompt, at least 1), `output` (= `chunks`), `cached`, `cache_write`, `reasoning` (0). Inclusive: the cached classes are part of input, reasoning is part of output. Each vendor's answer words it its own way; what a vendor has no word for is dropped (`cache_write` in Gemini; embeddings know input alone). `image`, `audio`: the parts of the input of these kinds, of which `cached_image`, `cached_audio` are in `cached` (Gemini); `output_image`, `output_audio` of the output. Beside tokens: `searches` of a ranking, `filtered` images of Imagen's, `seconds` of a transcript (else it tells tokens); `hit`, DeepSeek's word for what its cache had, in the place of `cached`; `cache_write_1h`, the part of Anthropic's `cache_write` that stays for an hour |
| `video` | | how the video is made that is asked for: `polls`, after how many questions about it (2), what it `ends` as (`completed`), the `id` and `seconds` that are told in place of its own, `not_json` for an answer that is none, `poll_status` of the answers about it, `content_bytes` (64) |
| `word_bytes` | 0 | pad each word to that size |
| `body_bytes` | 0 | pad a JSON answer to that size, with spaces |
| `echo_headers` | false | send each request header back as `x-echo-<name>` |
"""  # noqa: E501

from extproc.simulator.received import Received
from extproc.simulator.server import Simulator
from extproc.simulator.usage import Usage

__all__ = ["Received", "Simulator", "Usage"]
