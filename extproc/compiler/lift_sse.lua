-- What a stream tells of its usage, lifted into metadata while it passes: of a number that is told again and again the last
-- counts. A filter of the edge, nearer the router than `usage`, which reads the same once more: the sidecar compares.
--
-- Envoy has a filter for this, sse_to_metadata, but it parses every event, and every event once more for each rule. Here an
-- event is looked at when it is whole, and read where a usage begins in it: one or two of a stream, but Gemini's all.
--
-- What else is in an answer may look like a usage. A model may write one; what it gives to a tool, and the schema of a tool
-- that the Responses API repeats, may be JSON with a `usage` of the caller's choice. So the event is read from its beginning:
-- strings are stepped over with what is escaped in them, other objects with all they hold, and only these places count.
--
-- Nothing is changed and nothing waits. Where this fails, the answer goes on, and the access log has no numbers of it.

-- What is lifted of an event, in this order: of two that have one name the later counts, and of events the last.
local RULES = {
  -- OpenAI chat: all of it in the last event
  { "input", "usage", "prompt_tokens" },
  { "cache_read", "usage", "prompt_tokens_details", "cached_tokens" },
  { "cache_write", "usage", "prompt_tokens_details", "cache_write_tokens" },
  { "output", "usage", "completion_tokens" },
  { "reasoning", "usage", "completion_tokens_details", "reasoning_tokens" },
  { "input_audio", "usage", "prompt_tokens_details", "audio_tokens" },
  { "output_audio", "usage", "completion_tokens_details", "audio_tokens" },
  { "total", "usage", "total_tokens" },
  -- DeepSeek
  { "cache_hit", "usage", "prompt_cache_hit_tokens" },
  { "cache_miss", "usage", "prompt_cache_miss_tokens" },
  -- OpenAI responses: the same
  { "input", "response", "usage", "input_tokens" },
  { "cache_read", "response", "usage", "input_tokens_details", "cached_tokens" },
  { "cache_write", "response", "usage", "input_tokens_details", "cache_write_tokens" },
  { "output", "response", "usage", "output_tokens" },
  { "reasoning", "response", "usage", "output_tokens_details", "reasoning_tokens" },
  { "total", "response", "usage", "total_tokens" },
  -- Anthropic: the input in the first event, the output in the last but one, with what the input has become
  { "input", "message", "usage", "input_tokens" },
  { "input_first", "message", "usage", "input_tokens" },
  { "cache_read", "message", "usage", "cache_read_input_tokens" },
  { "cache_write", "message", "usage", "cache_creation_input_tokens" },
  { "cache_write_5m", "message", "usage", "cache_creation", "ephemeral_5m_input_tokens" },
  { "cache_write_1h", "message", "usage", "cache_creation", "ephemeral_1h_input_tokens" },
  { "output", "usage", "output_tokens" },
  { "input", "usage", "input_tokens" },
  { "cache_read", "usage", "cache_read_input_tokens" },
  { "cache_write", "usage", "cache_creation_input_tokens" },
  { "reasoning", "usage", "output_tokens_details", "thinking_tokens" },
  -- OpenAI images, transcripts and speech: all of it in the last event, in these words and in those just above
  { "input_image", "usage", "input_tokens_details", "image_tokens" },
  { "output_image", "usage", "output_tokens_details", "image_tokens" },
  { "input_audio", "usage", "input_token_details", "audio_tokens" },
  { "seconds", "usage", "seconds" },
  -- Gemini: what there is so far in every event; by modality it is in lists, which channel.lua reads
  { "input", "usageMetadata", "promptTokenCount" },
  { "cache_read", "usageMetadata", "cachedContentTokenCount" },
  { "output", "usageMetadata", "candidatesTokenCount" },
  { "reasoning", "usageMetadata", "thoughtsTokenCount" },
  { "tool_use", "usageMetadata", "toolUsePromptTokenCount" },
  { "total", "usageMetadata", "totalTokenCount" },
}

local NAMESPACE = "tollgate.usage"
local LARGEST_EVENT_BYTES = 10485760                    -- the last event of the Responses API repeats the whole answer

-- The keys that lead to a number: a table each, and `true` for the last.
local PLACES = {}
for _, rule in ipairs(RULES) do
  local inside = PLACES
  for index = 2, #rule - 1 do
    inside[rule[index]] = inside[rule[index]] or {}
    inside = inside[rule[index]]
  end
  inside[rule[#rule]] = true
end

-- JSON, as far as it must be known here. These are told where something begins and say where the next does, nil where it does
-- not end.

local QUOTE, OPEN, CLOSE, BACKSLASH, BLANK, NEWLINE = ('"{}\\ \n'):byte(1, 6)
local DEEPER = { ["{"] = 1, ["["] = 1, ["}"] = -1, ["]"] = -1 }

-- A quote is the end unless a backslash escapes it, which no other backslash does: their number before it tells. So a picture
-- of megabytes is passed over in one search.
local function after_string(text, at)
  local opened = at
  repeat
    at = text:find('"', at + 1, true)
    if not at then
      return nil
    end
    local before = at - 1
    while before > opened and text:byte(before) == BACKSLASH do
      before = before - 1
    end
  until (at - before) % 2 == 1
  return at + 1
end

local function after_value(text, at)
  if not text:find('^["{[]', at) then
    return text:match("^[%w.+-]+()", at)
  end
  local depth = 0
  repeat
    local deeper = DEEPER[text:sub(at, at)]
    depth = depth + (deeper or 0)
    at = deeper and at + 1 or after_string(text, at)
    if depth == 0 then
      return at
    end
    at = at and text:find('["{}%[%]]', at)
  until not at
  return nil
end

-- What an object has at these places: a table for an object, else the text of the value.
local function read_object(text, at, places)
  local found = {}
  at = text:match("^%s*()", at + 1)
  if text:byte(at) == CLOSE then
    return found, at + 1
  end
  while text:byte(at) == QUOTE do
    local key_end = after_string(text, at)
    local value = key_end and text:match("^%s*:%s*()", key_end)
    if not value then
      return nil
    end
    local key, value_end = text:sub(at + 1, key_end - 2), nil
    if type(places[key]) == "table" and text:byte(value) == OPEN then
      found[key], value_end = read_object(text, value, places[key])
    else
      value_end = after_value(text, value)
      found[key] = places[key] and value_end and text:sub(value, value_end - 1)
    end
    at = value_end and text:match("^%s*()[,}]", value_end)
    if not at then
      return nil
    elseif text:byte(at) == CLOSE then
      return found, at + 1
    end
    at = text:match("^%s*()", at + 1)
  end
  return nil
end

-- As Envoy's own filters have it: a number in quotes is one too, and what is neither is left out.
local NAMED = { ["true"] = 1, ["false"] = 0 }

local function as_number(value)
  if type(value) ~= "string" then
    return nil
  end
  return tonumber(value) or tonumber(value:match('^"(.*)"')) or NAMED[value]
end

local function lift(handle, event, told)
  local at, found = event:match("^%s*(){"), nil
  if at then
    found, at = read_object(event, at, PLACES)
  end
  if not found or event:find("%S", at) then
    return
  end
  local numbers = {}
  for _, rule in ipairs(RULES) do
    local value = found
    for index = 2, #rule do
      value = type(value) == "table" and value[rule[index]] or nil
    end
    numbers[rule[1]] = as_number(value) or numbers[rule[1]]
  end
  for name, number in pairs(numbers) do
    if told[name] ~= number then
      told[name] = number
      handle:streamInfo():dynamicMetadata():set(NAMESPACE, name, number)
    end
  end
end

-- Some vendors say `"usage":null` in every event until the last.
local function tells_usage(event)
  local _, at = event:find('"usage', 1, true)
  while at and event:find('^"%s*:%s*null', at + 1) do
    _, at = event:find('"usage', at + 1, true)
  end
  return at
end

local function data_of(event)
  local lines, at = {}, 1
  local stop = event:find("\n", 1, true)
  while stop do
    if event:find("^data:", at) then
      local from = event:byte(at + 5) == BLANK and at + 6 or at + 5
      lines[#lines + 1] = event:sub(from, stop - 1)
    end
    at = stop + 1
    stop = event:find("\n", at, true)
  end
  return table.concat(lines, "\n")
end

-- Calls `read` with each event that may tell a usage. What has begun is kept in the pieces it came in, as its end may be far.
local function events(read)
  local kept, kept_bytes, last = {}, 0, ""

  local function keep(text)
    kept[#kept + 1] = text
    kept_bytes = kept_bytes + #text
    if kept_bytes > LARGEST_EVENT_BYTES then
      kept, kept_bytes = {}, 0                          -- what comes of it yet does not begin like an event
    end
  end

  return function(chunk)
    local text = last == "\r" and chunk:gsub("^\n", "") or chunk
    last = chunk ~= "" and chunk:sub(-1) or last
    if text:find("\r", 1, true) then
      text = text:gsub("\r\n?", "\n")
    end
    local from, usage = 1, text:find('"usage', 1, true)
    local ended = kept[1] and kept[#kept]:byte(-1) == NEWLINE and text:byte(1) == NEWLINE
    local stop = ended and 1 or select(2, text:find("\n\n", 1, true))
    while stop do
      if kept[1] then
        keep(text:sub(1, stop))
        read(table.concat(kept))
        kept, kept_bytes = {}, 0
      elseif usage and usage <= stop then
        read(text:sub(from, stop))
      end
      from = stop + 1
      usage = usage and (usage >= from and usage or text:find('"usage', from, true))
      _, stop = text:find("\n\n", from, true)
    end
    if from <= #text then
      keep(text:sub(from))
    end
  end
end

function envoy_on_response(handle)
  local kind = handle:headers():get("content-type") or ""
  if kind:find("text/event-stream", 1, true) ~= 1 then
    return
  end
  local told = {}
  local pass = events(function(event)
    if tells_usage(event) then
      lift(handle, data_of(event), told)
    end
  end)
  for chunk in handle:bodyChunks() do
    pass(chunk:getBytes(0, chunk:length()))
  end
end
