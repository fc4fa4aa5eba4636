# The toolchain runs on the builder's platform and compiles for the image's.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS
ARG TARGETARCH
# .git is part of the context: the toolchain writes the commit into the binary.
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags="-s -w" -o /image/eshop .
# What a binary alone in an image needs: a user, certificates to trust, time zones, a place for
# temporary files, and one for data that the user may write to.
RUN mkdir -p /image/etc/ssl/certs /image/tmp /image/data \
 && echo 'eshop:x:65532:65532:eshop:/data:/none' > /image/etc/passwd \
 && echo 'eshop:x:65532:' > /image/etc/group \
 && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
 && cp "$(go env GOROOT)/lib/time/zoneinfo.zip" /image/zoneinfo.zip \
 && chmod 1777 /image/tmp && chown 65532:65532 /image/data

FROM scratch
COPY --from=build /image/ /
ENV ZONEINFO=/zoneinfo.zip
USER 65532:65532
WORKDIR /data
EXPOSE 8080 8081 8082 8090 8091 8092
# Asks /-/healthy of the admin listener, wherever the environment or the configuration file puts it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["/eshop", "health"]
ENTRYPOINT ["/eshop"]
CMD ["--help"]
