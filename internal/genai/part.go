package genai

// part reads one part of a message, an element of its parts or of its content.
// It returns false for a part of a type that is not known.
func (d *draft) part(p members) bool {
	kind := p.get("type").view()
	if kind == "" {
		kind = p.get("kind").view() // Pydantic AI's events
	}
	switch kind {
	case "text", "input_text", "output_text", "refusal", "summary_text":
		d.addText(d.firstText(p, "text", "content", "refusal"))
	case "reasoning", "thinking":
		d.addReasoning(d.firstText(p, "content", "text", "thinking", "reasoning"))
	case "tool_call":
		if name, arguments := p.get("name"), p.first("arguments", "args"); name.exists() || arguments.exists() {
			d.addCall(p.first("call_id", "id"), name, d.value(arguments))
		} else {
			d.addText(notShown)
		}
	case "tool_use":
		d.addCall(p.get("id"), p.get("name"), d.value(p.get("input")))
	case "reasoningContent":
		d.addReasoning(d.text(p.get("content").member("reasoningText").member("text")))
	case "toolUse":
		d.addCall(p.get("toolUseId"), p.get("name"), d.value(p.get("input")))
	case "tool-call":
		d.addCall(p.get("toolCallId"), p.get("toolName"), d.value(p.first("input", "args")))
	case "tool_call_response":
		if r := response(p); r.exists() {
			d.addResult(p.first("call_id", "id"), p.get("name"), r)
		} else {
			d.add(d.text(p.first("call_id", "id")), p.get("name"), notShown)
		}
	case "tool_result":
		d.add(d.text(p.get("tool_use_id")), token{}, d.blocks(p.get("content")))
	case "toolResult":
		d.add(d.text(p.get("toolUseId")), token{}, d.blocks(p.get("content")))
	case "tool-result":
		d.addResult(p.get("toolCallId"), p.get("toolName"), vercelResult(p))
	case "":
		return d.untyped(p)
	default:
		return d.media(kind, p)
	}
	return true
}

// untyped reads a part that is named by its one member, as Bedrock's
// {toolUse: {…}}, Gemini's {function_call: {…}} and Haystack's {tool_call: {…}}
// are.
func (d *draft) untyped(p members) bool {
	for i := range p {
		v := p[i].value
		if v.isNull() {
			continue
		}
		switch p[i].name {
		case "text":
			if p.get("thought").raw == "true" {
				d.addReasoning(d.text(v))
			} else {
				d.addText(d.text(v))
			}
		case "json":
			d.addText(d.value(v))
		case "toolUse":
			d.addCall(v.member("toolUseId"), v.member("name"), d.value(v.member("input")))
		case "toolResult":
			d.add(d.text(v.member("toolUseId")), token{}, d.blocks(v.member("content")))
		case "toolRequest":
			d.addCall(v.member("ref"), v.member("name"), d.value(v.member("input")))
		case "toolResponse":
			d.addResult(v.member("ref"), v.member("name"), v.member("output"))
		case "reasoning":
			if t := v.member("reasoning_text"); t.exists() { // Haystack's
				v = t
			}
			d.addReasoning(d.text(v))
		case "media":
			d.parts = append(d.parts, media("media", v.member("contentType").asText(), v.member("url").asText()))
		case "reasoningContent":
			d.addReasoning(d.text(v.member("reasoningText").member("text")))
		case "function_call", "functionCall":
			d.addCall(v.member("id"), v.member("name"), d.value(v.member("args")))
		case "function_response", "functionResponse":
			d.addResult(v.member("id"), v.member("name"), v.member("response"))
		case "inline_data", "inlineData":
			d.parts = append(d.parts, media("blob", v.first("mime_type", "mimeType").asText(), v.member("data").asText()))
		case "file_data", "fileData":
			d.parts = append(d.parts, media("uri", v.first("mime_type", "mimeType").asText(), v.first("file_uri", "fileUri").asText()))
		default:
			if !d.haystackPart(p[i].name, v, p) {
				continue
			}
		}
		return true
	}
	return false
}

// media reads a part that is an image, a clip or a file.
func (d *draft) media(kind string, p members) bool {
	modality := p.get("modality").view()
	if modality == "" {
		modality = kind
	}
	switch kind {
	case "blob":
		m := media(modality, p.get("mime_type").view(), p.get("content").asText())
		if size := p.get("byte_size"); m.Bytes == 0 && size.isNumber() {
			m.Bytes = int(max(size.integer(), 0)) // the content itself was left out
		}
		d.parts = append(d.parts, m)
	case "uri":
		d.parts = append(d.parts, media(modality, p.get("mime_type").view(), p.get("uri").view()))
	case "binary":
		d.parts = append(d.parts, media(kind, p.get("media_type").asText(), p.first("content", "binary_content").asText()))
	case "image-url", "audio-url", "video-url", "document-url":
		d.parts = append(d.parts, media(kind, "", p.get("url").asText()))
	case "image_url", "input_image":
		v := p.get("image_url")
		if v.isObject() {
			v = v.member("url")
		}
		d.parts = append(d.parts, media("image", "", v.asText()))
	case "image", "file":
		content := p.first("image", "data", "url")
		if !content.exists() {
			return false // by id or in a form of its own: kept as it is
		}
		d.parts = append(d.parts, media(kind, p.first("mediaType", "mimeType").asText(), content.asText()))
	default:
		return false
	}
	return true
}

// response is what a tool returned, under one of its names.
func response(p members) token {
	if v := p.first("response", "result"); v.exists() {
		return v
	}
	return p.get("content")
}

// vercelResult opens {output:{type,value}} (version 5) or result (before it).
func vercelResult(p members) token {
	out := p.get("output")
	if !out.exists() {
		return p.get("result")
	}
	if v := out.member("value"); v.exists() {
		return v
	}
	return out
}

// firstText is the first of several members that says something.
func (d *draft) firstText(p members, names ...string) string {
	for _, n := range names {
		if v := p.get(n); v.exists() && (n == "content" || v.isText()) {
			if s := d.text(v); s != "" {
				return s
			}
		}
	}
	return ""
}
