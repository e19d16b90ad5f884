package upstream

import "encoding/json"

// modelIn finds the model that a request's JSON body names, "" if it names none. It reads no further than the name and
// decodes nothing else: bodies may carry pictures.
func modelIn(body []byte) string {
	depth, value := 0, false // value: what comes next belongs to the key "model"
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '{', '[':
			depth++
			value = false
		case '}', ']':
			depth--
		case ',':
			value = false
		case '"':
			end := endOfString(body, i)
			if end < 0 {
				return ""
			}
			if depth == 1 && value {
				var name string
				_ = json.Unmarshal(body[i:end+1], &name) // what is no string names no model
				return name
			}
			value = depth == 1 && string(body[i+1:end]) == "model"
			i = end
		}
	}
	return ""
}

// endOfString is where the string that begins at i ends, below 0 if it does not.
func endOfString(body []byte, i int) int {
	for i++; i < len(body); i++ {
		switch body[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}
