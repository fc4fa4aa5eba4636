package certificate

// Look is what Run does at every change and every two seconds.
func (s *Source) Look() { s.look() }
